"""Processes by identity, not by number: numbers are used again, so whoever is to be signalled is held by a pidfd first
and then recognised, by the time it began or by the nonce in its environment."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.jobs.attempt_files import NONCE_NAME

PROC = Path("/proc")
MARK = f"{NONCE_NAME}=".encode()
LIMIT_S = 5.0  # no process of a finished attempt outlives it by more


class StillAlive(Failure):
    """Processes that the kernel does not end, as in a hung driver: their attempt is not over."""

    def __init__(self, pids: Collection[int]):
        self.pids = tuple(sorted(pids))
        super().__init__(f"the processes {', '.join(map(str, self.pids))} of a finished attempt do not die although "
                         f"they were killed (a hung device or file system?); it counts as running until they do")


def start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks since the host was started; None if there is none."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def parent_of(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else None


def _stat_fields(pid: int) -> list[str]:
    """From the third field on: the name before them may hold blanks and brackets."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def nonce_of(pid: int) -> str | None:
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:  # it ended meanwhile, or is not ours
        return None
    for entry in environment.split(b"\0") if MARK in environment else ():
        if entry.startswith(MARK):
            return entry.removeprefix(MARK).decode(errors="replace")
    return None


def holders(nonces: Collection[str]) -> dict[int, str]:
    """The living processes whose environment holds one of the nonces: one pass over what this user may look into."""
    found = {}
    for name in os.listdir(PROC):  # noqa: PTH208  # half the time of pathlib
        if name.isdigit() and (nonce := nonce_of(int(name))) is not None and nonce in nonces:
            found[int(name)] = nonce
    found.pop(os.getpid(), None)
    return found


def hold(pid: int, ticks: int | None = None, nonce: str | None = None) -> int | None:
    """A pidfd of the process that has this number AND this identity. None: there is none (any more)."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if (ticks is None or start_ticks(pid) == ticks) and (nonce is None or nonce_of(pid) == nonce):
        return pidfd  # it was alive, or unburied, after the pidfd was opened: both are the same process
    os.close(pidfd)
    return None


def send(pidfd: int, number: signal.Signals) -> bool:
    """False: it is dead already."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def wait_dead(pidfds: Collection[int], limit_s: float) -> bool:
    """Whether all of these processes are dead before the time is over."""
    waiting, deadline_s = select.poll(), time.monotonic() + limit_s
    for pidfd in pidfds:
        waiting.register(pidfd, select.POLLIN)
    left = set(pidfds)
    while left:
        ended = waiting.poll(max(0.0, (deadline_s - time.monotonic()) * 1000))
        if not ended:
            return False
        for pidfd, _ in ended:
            waiting.unregister(pidfd)
            left.discard(pidfd)
    return True


def kill_holders(nonces: Collection[str], limit_s: float = LIMIT_S) -> int:
    """Kill every process that holds one of the nonces, and what they fork meanwhile, and see them dead; how many."""
    killed: set[int] = set()
    deadline_s = time.monotonic() + limit_s
    while found := holders(nonces):
        with _held(found) as pidfds:
            for pid, pidfd in pidfds.items():
                _kill_with_group(pid, pidfd)
            killed |= pidfds.keys()
            wait_dead(pidfds.values(), max(0.0, deadline_s - time.monotonic()))
        if time.monotonic() > deadline_s:
            raise StillAlive(found)
    return len(killed)


@contextlib.contextmanager
def _held(found: dict[int, str]) -> Iterator[dict[int, int]]:
    with contextlib.ExitStack() as stack:
        pidfds = {}
        for pid, nonce in found.items():
            if (pidfd := hold(pid, nonce=nonce)) is not None:
                stack.callback(os.close, pidfd)
                pidfds[pid] = pidfd
        yield pidfds


def _kill_with_group(pid: int, pidfd: int) -> None:
    """The group first, in one step, so that none of it can fork on: an attempt's groups hold nothing else."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(pid)
        if group != os.getpgrp():
            os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(PermissionError):
        send(pidfd, signal.SIGKILL)
