"""Two clocks: one for people, which may be set back, and one for durations, which may not and outlives processes."""

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Now:
    wall_s: float  # since 1970
    steady_s: float  # since the host was started, sleep included; comparable between processes of one boot


def now() -> Now:
    return Now(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
