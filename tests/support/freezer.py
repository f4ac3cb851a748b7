"""A process that even SIGKILL does not reach, as in a hung driver: a control group of version 1 can freeze it so."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

FREEZER = Path("/sys/fs/cgroup/freezer")


class Freezer:
    def __init__(self, folder: Path):
        self.folder = folder

    def freeze(self, pid: int) -> None:
        (self.folder / "tasks").write_text(str(pid))
        (self.folder / "freezer.state").write_text("FROZEN")

    def thaw(self) -> None:
        (self.folder / "freezer.state").write_text("THAWED")

    def pids(self) -> set[int]:
        return {int(pid) for pid in (self.folder / "tasks").read_text().split()}


@contextlib.contextmanager
def a_freezer() -> Iterator[Freezer]:
    if not os.access(FREEZER / "tasks", os.W_OK):
        pytest.skip("needs root and a control group of version 1 that can freeze processes")
    freezer = Freezer(FREEZER / f"test-{uuid.uuid4().hex}")
    freezer.folder.mkdir()
    try:
        yield freezer
    finally:
        freezer.thaw()
        for pid in freezer.pids():  # back to the root group, so that this one can go
            with contextlib.suppress(ProcessLookupError):
                (FREEZER / "tasks").write_text(str(pid))
        freezer.folder.rmdir()
