"""A live attempt under watch: its progress, its limits, and how far a stop has got."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from adaptive_nerf.jobs.executors import Handle
from adaptive_nerf.jobs.job_folder import Progress, read_progress
from adaptive_nerf.jobs.records import Job
from adaptive_nerf.jobs.states import Reason


@dataclass
class Live:
    job: Job
    handle: Handle
    moved_steady_s: float  # when its progress last moved
    seen_mtime_ns: int = 0
    told_warnings: set[str] = field(default_factory=set)
    stop_reason: Reason | None = None
    rest_until_steady_s: float = 0.0  # its processes do not die; not looked at until then
    kill_at_steady_s: float = float("inf")  # when the shim itself is given up

    def new_progress(self, folder: Path, steady_s: float) -> Progress | None:
        """None when nothing has changed since the last look."""
        try:
            mtime_ns = (folder / "progress.json").stat().st_mtime_ns
        except OSError:  # not there yet, or its disk is in trouble: as if nothing had moved
            return None
        if mtime_ns == self.seen_mtime_ns:
            return None
        self.seen_mtime_ns, self.moved_steady_s = mtime_ns, steady_s
        return read_progress(folder)

    def overdue(self, steady_s: float) -> Reason | None:
        """Why it must be stopped now, if it must."""
        if self.stop_reason is not None:
            return None
        if self.job.timeout_s and steady_s - self.job.started_steady_s > self.job.timeout_s:
            return Reason.TIMEOUT
        if self.job.hang_timeout_s and steady_s - self.moved_steady_s > self.job.hang_timeout_s:
            return Reason.HUNG
        return None
