"""Attempts of small real programs, started as the service starts runners, and all gone when the test is over."""

from __future__ import annotations

import itertools
import json
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adaptive_nerf.jobs import processes
from adaptive_nerf.jobs.attempt_files import (
    Ended,
    Order,
    Started,
    output_tail,
    read_started,
    runner_environment,
    shim_complaint,
)
from adaptive_nerf.jobs.executors import Handle, LocalExecutor
from tests.support.waiting import wait_until

QUICK_PYTHON = (sys.executable, "-I", "-S", "-c")


class Attempts:
    def __init__(self, folder: Path):
        self.folder, self.executor = folder, LocalExecutor()
        self.handles: list[Handle] = []
        self.nonces: list[str] = []
        self._numbers = itertools.count(1)

    def order(self, program: str = "", *, argv: tuple[str, ...] = (), grace_s: float = 20.0, folder: Path | None = None,
              env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Order:
        number, nonce = next(self._numbers), uuid.uuid4().hex
        self.nonces.append(nonce)
        return Order(job_id="job", attempt=number, nonce=nonce, folder=folder or self.folder / "attempts" / str(number),
                     argv=argv or (*QUICK_PYTHON, program), env=runner_environment(os.environ, env or {}),
                     cwd=cwd or self.folder, grace_s=grace_s)

    def start(self, program: str = "", **others: Any) -> Handle:
        handle = self.executor.start(self.order(program, **others))
        self.handles.append(handle)
        return handle

    def end(self, handle: Handle) -> Ended | None:
        """Wait for the end and say how it was."""
        wait_until(lambda: processes.wait_dead([handle.pidfd], 1.0), "the end of the shim", within_s=120)
        return self.executor.reap(handle)

    def clear(self) -> None:
        processes.kill_all(processes.holds_one_of(set(self.nonces)))
        for handle in self.handles:
            if handle.pidfd >= 0:
                self.executor.reap(handle)
                handle.close()


def started(handle: Handle) -> Started:
    return wait_until(lambda: read_started(handle.folder, handle.nonce), "started.json")


def printed(handle: Handle, text: str) -> str:
    """All that the runner has printed, once `text` is in it."""
    def so_far() -> str:
        return output_tail(handle.folder, 10**6)

    try:
        wait_until(lambda: text in so_far(), f"the runner to print {text!r}")
    except AssertionError as error:
        told = f"it printed {so_far()[-500:]!r}, the shim {shim_complaint(handle.folder)!r}"
        raise AssertionError(f"{error}; {told}") from None
    return so_far()


def exit_file(handle: Handle) -> dict[str, Any]:
    return dict(json.loads((handle.folder / "exit.json").read_bytes()))


def alive(nonce: str) -> set[int]:
    return find_pids(processes.holds_one_of({nonce}))


def find_pids(belongs: Callable[[int], bool]) -> set[int]:
    return {pid for pids in processes.all_pids() for pid in pids if belongs(pid)}
