"""Debian's Chromium without a screen, driven by Playwright; what a page did wrong is collected while it is open."""

import io
import shutil
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support.missing import missing
from tests.support.waiting import wait_until

# WebGL2 in software, also as root and without an X server.
ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
             "--ignore-gpu-blocklist"]
CANVAS = 'canvas[data-engine^="three.js"]'  # viser's first canvas is an empty dummy
HERE, INSIDE = {"127.0.0.1", "localhost", "::1"}, {"data", "blob", "about", "file"}
HAS_WEBGL2 = "() => !!document.createElement('canvas').getContext('webgl2')"


def chromium_path() -> str:
    found = shutil.which("chromium")
    if found is None:
        missing("chromium is not installed (apt-get install chromium)")
    return found


@dataclass
class Tab:
    """A page of its own, with its own cookies. `errors`: what its scripts did not catch."""

    page: Page
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)  # addresses of other machines that were asked

    @classmethod
    def of(cls, browser: Browser, width: int = 1280, height: int = 800) -> "Tab":
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        tab = cls(context.new_page())
        context.on("request", lambda request: tab.note(request.url))
        context.on("page", tab.watch)
        tab.watch(tab.page)
        return tab

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("websocket", lambda socket: self.note(socket.url))

    def note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in INSIDE and parts.hostname not in HERE:
            self.outside.append(url)

    def picture(self) -> np.ndarray:
        """The window as it is. [h, w, 3] uint8"""
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))

    def settled_picture(self, within_s: float = 60.0) -> np.ndarray:
        """The window, once two looks agree: a picture right after a change may still be the old one."""
        seen = [self.picture()]

        def agrees() -> bool:
            seen.append(self.picture())
            return bool((np.abs(seen[-1].astype(int) - seen[-2]) > 8).mean() < 1e-3)

        wait_until(agrees, "a still picture", within_s, every_s=0.3)
        return seen[-1]

    def close(self) -> None:
        self.page.context.close()
