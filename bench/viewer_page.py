"""A real `view` job for a bench, and an operator before its page who speaks the browser's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.viewer.access import key_of_job
from adaptive_nerf.viewer.overview import overview_of
from adaptive_nerf.viewer.viewpoints import UP, View, browser_wxyz, camera_of
from bench.jobs_here import RUNNER
from kafka_utils.node import free_port
from tests.support.page_client import PageClient, is_picture, picture_size

WINDOW = (640, 480)
SILENCE_S, SOON_S = 1.5, 120.0


@dataclass(frozen=True)
class ViewJob:
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    began: float  # by time.monotonic

    def operator(self, scene: Scene) -> Operator:
        return Operator(self.port, key_of_job(self.folder), scene)

    def memory_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


@contextmanager
def view_job(out: Path, spec: dict[str, object]) -> Iterator[ViewJob]:
    """Opened, and ended at the end."""
    port, config = free_port(), out.with_suffix(".json")
    config.write_text(json.dumps(spec | {"op": "view", "viewer_host": "127.0.0.1", "viewer_port": port}))
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, str(RUNNER), "--configPath", str(config), "--out", str(out)],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (out / "viewer_url").exists():
            if process.poll() is not None or time.monotonic() - began > SOON_S:
                raise Failure(f"the view job did not open its page; see {out / 'log.txt'}")
            time.sleep(0.01)
        yield ViewJob(process, port, out, began)
    finally:
        process.terminate()
        process.wait(60)


class Operator(PageClient):
    """With a window of 640x480, at the overview."""

    def __init__(self, port: int, key: str, scene: Scene):
        self.scene, self.start = scene, overview_of(scene).start
        super().__init__(port, key, size=WINDOW)
        self.go(self.start)

    def go(self, view: View) -> None:
        pose = look_at(view.position, view.look_at, np.array(UP))
        self.look(browser_wxyz(pose), view.position, view.look_at, fov_rad=view.fov_rad)

    def camera(self, view: View) -> Camera:
        """That of the picture that the page makes of a view."""
        pose = look_at(view.position, view.look_at, np.array(UP))
        return camera_of(browser_wxyz(pose), pose[:, 3], view.fov_rad, WINDOW, self.scene.frame)

    def around(self, share: float, turn: int) -> View:
        """The overview turned by 30 degrees so often, at this share of its distance."""
        angle = np.radians(30 * turn)
        turned = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        away = turned @ (self.start.position - self.start.look_at) * share
        return View(self.start.look_at + away, self.start.look_at, self.start.fov_rad)

    def wait_for_silence(self) -> None:
        """Until nothing but the clock of a tab moves: nothing more is being made."""
        heard = time.monotonic()
        while time.monotonic() - heard < SILENCE_S:
            try:
                if any(map(is_picture, self.messages(SILENCE_S))):
                    heard = time.monotonic()
            except TimeoutError:
                return

    def pictures_of(self, view: View) -> list[tuple[float, tuple[int, int]]]:
        """Seconds from the move to each picture, up to the full one, and their sizes."""
        began, seen = time.monotonic(), []
        self.go(view)
        while not seen or seen[-1][1] != WINDOW:
            picture = self.wait_for_picture()
            seen.append((time.monotonic() - began, picture_size(picture)))
        return seen

    def seconds_until(self, action: Callable[[], None], seen: Callable[[], bool]) -> float:
        began = time.monotonic()
        action()
        self.wait_until(seen)
        return time.monotonic() - began
