"""What an operation is given to work with, and how it tells how far it is.

The runner calls `operation(run) -> Result`. The operation reads `run.spec`, writes into `run.out`, calls
`run.progress.step(...)` as often as it likes, and asks `run.stop_requested()` between steps: when that is true it
writes a checkpoint and raises StopRequested. progress.json is what the service sees of it, at most four times a second.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import DiskFull, Failure

SECONDS_BETWEEN_WRITES = 0.25
MOST_WARNINGS = 50
Spec = TypeVar("Spec")
log = logging.getLogger(__name__)


class StopRequested(Failure):
    """Stopped because somebody asked; what was done so far is saved, and told where there is something to tell.

    The runner leaves a result.json in any case.
    """

    def __init__(self, message: str, result: Result | None = None):
        self.result = result
        super().__init__(message)


@dataclass(frozen=True)
class Result:
    artifacts: tuple[str, ...] = ()  # paths inside the job's folder
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run(Generic[Spec]):
    """One run of one job."""

    spec: Spec
    out: Path
    progress: RunProgress
    stop_requested: Callable[[], bool]
    roots: tuple[Path, ...] = ()  # where a job may read; empty: anywhere
    idle: Mapping[str, Any] = field(default_factory=dict)  # what the message says beside the operation's own fields
    effective: dict[str, Any] = field(default_factory=dict)  # what the operation chose itself; goes into result.json

    def publish_url(self, url: str) -> None:
        """Where people can look at the job. The whole address, with its token, is for the owner's eyes alone."""
        write_private(self.out / "viewer_url", url + "\n")
        self.progress.tell_url(without_token(url))


class RunProgress:
    """Writes progress.json, for any thread. A full disk is told once and does not end the work."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic):
        self._path, self._clock = path, clock
        self._told: dict[str, Any] = {"v": 1, "step": 0, "of": None, "eta_s": None, "metrics": {}, "warnings": [],
                                      "url": None}
        self._preparing: dict[str, float] = {}
        self._began: tuple[float, float] | None = None  # step and time of the first call
        self._written_at = -math.inf
        self._disk_was_full = False
        self._writing = threading.Lock()  # else an older state may come to lie over a newer one
        self.flush()

    def step(self, step: float, of: float | None = None, metrics: Mapping[str, float] | None = None) -> None:
        """`step` of `of` are done. A resumed run starts at the step where it goes on."""
        now, first = self._clock(), self._began is None
        if self._began is None:
            self._began = step, now
        self._told |= {"step": step, "of": of, "eta_s": _eta_s(self._began, (step, now), of)}
        if metrics:
            self._told["metrics"] = {**self._told["metrics"], **{name: _finite(v) for name, v in metrics.items()}}
        if now - self._written_at >= SECONDS_BETWEEN_WRITES or first or step == of:
            self.flush()

    def preparing(self, what: str, done: int, of: int) -> None:
        """Of work that is no step, as photos that are read: seen among the figures until all of it is done. It also
        tells the service that the job has not come to a stand."""
        self._preparing = {what: done, f"{what}_of": of} if done < of else {}
        if done >= of or self._clock() - self._written_at >= SECONDS_BETWEEN_WRITES:
            self.flush()

    def warn(self, text: str) -> None:
        """For people; each text once."""
        warnings = self._told["warnings"]
        if text not in warnings and len(warnings) < MOST_WARNINGS:
            log.warning("%s", text)
            warnings.append(text)
            self.flush()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._told["warnings"])

    def tell_url(self, url: str) -> None:
        self._told["url"] = url
        self.flush()

    def flush(self) -> None:
        self._written_at = self._clock()
        with self._writing:
            try:
                told = {**self._told, "metrics": {**self._told["metrics"], **self._preparing}}
                atomic_files.write_bytes(self._path, json.dumps(told).encode(), durable=False)
            except DiskFull as error:
                if not self._disk_was_full:
                    log.warning("%s", error)
                self._disk_was_full = True


def write_private(path: Path, text: str) -> None:
    """A file that only its owner can read, whole or absent."""
    atomic_files.write_bytes(path, text.encode(), durable=False, mode=0o600)


def without_token(url: str) -> str:
    """A viewer's address for everybody: what opens it stands behind the "?" or the "#"."""
    return url.partition("#")[0].partition("?")[0]


def _eta_s(began: tuple[float, float], here: tuple[float, float], of: float | None) -> float | None:
    done, took_s = here[0] - began[0], here[1] - began[1]
    if of is None or done <= 0:
        return None
    return round(max(0.0, (of - here[0]) * took_s / done), 1)


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
