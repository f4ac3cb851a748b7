"""How many cores this process has: those it may run on, and no more than a container's or a service's quota gives."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS, MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_cores() -> int:
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), *quotas(GROUPS, MINE))))


def quotas(groups: Path, mine: Path) -> Iterator[float]:
    """Cores' worth of time, of this process's control group and of those around it (version 2); inf: no limit."""
    yield math.inf
    with contextlib.suppress(OSError):
        lines = mine.read_text().splitlines()
        inside = next((line[3:].lstrip("/") for line in lines if line.startswith("0::")), "")
        for folder in (groups / inside, *(groups / inside).parents):
            if folder.is_relative_to(groups):
                yield _quota(folder / "cpu.max")


def _quota(path: Path) -> float:
    """`max 100000` or `200000 100000`: microseconds of time, in how many."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        time_us, period_us = path.read_text().split()
        return int(time_us) / int(period_us)
    return math.inf
