"""Flights to prepare, and ways to disturb a command while it writes."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.data.colmap_factory import Flight, flight_poses, write_flight


@pytest.fixture
def make_flight(tmp_path: Path) -> Callable[..., Flight]:
    def make(folder: str = "raw", count: int = 4, lens: str = "PINHOLE", *, ecef: bool = True, text: bool = False,
             names: list[str] | None = None, poses: np.ndarray | None = None) -> Flight:
        names = names or [f"DJI_{index:04d}.JPG" for index in range(count)]
        poses = flight_poses(len(names)) if poses is None else poses
        return write_flight(tmp_path / folder, names, poses, lens, ecef, text)
    return make


@pytest.fixture
def digest() -> Callable[[Path], dict[str, str]]:
    """Every file below a folder, hidden ones too, by its bytes."""
    def of(folder: Path) -> dict[str, str]:
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(folder.rglob("*")) if path.is_file()}
    return of


@pytest.fixture
def killed_at_write() -> Callable[[int, Callable[[], object]], bool]:
    """Run a function in a child that gets SIGKILL as it brings its k-th file to the disk; whether it came so far."""
    def run(kth: int, function: Callable[[], object]) -> bool:
        child = os.fork()
        if child == 0:
            _kill_at(kth)
            function()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    return run


def _kill_at(kth: int) -> None:
    """Between the content and the name: the worst moment."""
    calls = 0
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == kth:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    Path.replace = replace  # type: ignore[method-assign]  # in the child alone
