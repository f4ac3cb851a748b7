"""Somebody in front of the page: finds its controls by their names, clicks, and looks."""

from __future__ import annotations

import json
import re

import numpy as np
from playwright.sync_api import Download, Locator

from tests.support.browser import Tab
from tests.support.waiting import wait_until

PATIENCE_S = 180.0  # a browser without a GPU, on a machine that others share
PATIENCE_MS = PATIENCE_S * 1000


class Person:
    def __init__(self, tab: Tab):
        self.tab, self.page = tab, tab.page

    def wait_until_sharp(self) -> None:
        self.sees("Finished picture")

    def sees(self, text: str | re.Pattern[str]) -> Locator:
        found = self.page.get_by_text(text).first
        found.wait_for(timeout=PATIENCE_MS)
        return found

    def opens(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()

    def presses(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def ticks(self, box: str) -> None:
        """As people do: a click that a moving panel swallowed is made again."""
        found = self.page.get_by_role("checkbox", name=box)
        wished = not found.is_checked()

        def is_as_wished() -> bool:
            if found.is_checked() != wished:
                found.click()
            return found.is_checked() == wished

        wait_until(is_as_wished, f"the box {box!r}", PATIENCE_S, 0.3)

    def chooses(self, label: str, option: str) -> None:
        self.page.get_by_role("combobox", name=label).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def field(self, label: str) -> Locator:
        """The text box beside a label; it has no name of its own."""
        row = self.page.locator("div", has=self.page.get_by_text(label, exact=True)).last
        return row.locator("xpath=..").locator("input:visible").first

    def fills(self, label: str, text: str) -> None:
        self.field(label).fill(text)
        self.field(label).press("Tab")

    def unfolds(self, folder: str) -> None:
        self.page.get_by_text(folder, exact=True).click()

    def clicks(self, x: int, y: int) -> None:
        self.page.mouse.click(x, y)

    def drags(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(*end, steps=8)
        mouse.up()

    def looks(self) -> np.ndarray:
        """The window, when it stands still. [h, w, 3]"""
        return self.tab.settled_picture()

    def sees_other_than(self, former: np.ndarray, what: str, region: slice = slice(0, 640)) -> np.ndarray:
        """The window, when its left part, away from the panel, has become another and is sharp."""
        try:
            wait_until(lambda: gap(self.tab.picture()[150:, region], former[150:, region]) > 4, what, PATIENCE_S, 0.3)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page says: {self.page.locator('body').inner_text()!r}") from error
        self.looks()  # by now the line at the top speaks of the new picture
        self.wait_until_sharp()
        return self.looks()

    def sees_again(self, former: np.ndarray, what: str, region: slice = slice(0, 640)) -> None:
        """The left part of the window becomes what it was: coarse at first, then as fine."""
        wait_until(lambda: gap(self.tab.picture()[150:, region], former[150:, region]) < 3, what, PATIENCE_S, 0.3)

    def downloads(self, button: str) -> Download:
        with self.page.expect_download(timeout=PATIENCE_MS) as download:
            self.presses(button)
        return download.value


def gap(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference in levels of 255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def patch(picture: np.ndarray, x: int, y: int, half: int = 3) -> np.ndarray:
    """Mean colour around a pixel. [3]"""
    return picture[y - half:y + half + 1, x - half:x + half + 1].reshape(-1, 3).mean(0)


def read_json(download: Download) -> dict:
    return json.loads(download.path().read_text())
