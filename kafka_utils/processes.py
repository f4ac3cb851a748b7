"""A process that outlives the command that started it, told apart from any later one with the same number."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptive_nerf.common.clock import boot_id

STATE, START_TICKS = 0, 19  # fields of /proc/<pid>/stat after the name


@dataclass(frozen=True)
class Identity:
    pid: int
    start_ticks: int
    boot_id: str


def identify(pid: int) -> Identity | None:
    """Who has this number now; None where nobody lives."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[STATE] in "ZX" else Identity(pid, int(fields[START_TICKS]), boot_id())


def identity_in(record: dict[str, Any]) -> Identity | None:
    """The identity that a file holds, if that process is alive."""
    try:
        found = Identity(int(record["pid"]), int(record["start_ticks"]), str(record["boot_id"]))
    except (KeyError, TypeError, ValueError):
        return None
    return found if identify(found.pid) == found else None


def end(identity: Identity, number: signal.Signals, wait_s: float) -> bool:
    """Send the signal to exactly this process; True when it is gone within `wait_s`."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        if identify(identity.pid) != identity:
            return True
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        gone = bool(select.select([descriptor], [], [], wait_s)[0])
        if gone:
            with contextlib.suppress(ChildProcessError):  # ours to bury, if it is our child
                os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
        return gone
    finally:
        os.close(descriptor)
