"""Processes by identity, not by number: numbers are used again, so whoever is to be signalled is held by a pidfd first
and then recognised, by the time at which it began or by the nonce in its environment."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.jobs.attempt_files import NONCE_NAME

MARK = f"{NONCE_NAME}=".encode()
LIMIT_S = 5.0  # no process of a finished attempt outlives it by more
PASSES = 20  # on a busy host something always begins


class StillAlive(Failure):
    """Processes that the kernel does not end, as in a hung driver: their attempt is not over."""

    def __init__(self, pids: Collection[int]):
        self.pids = tuple(sorted(pids))
        super().__init__(f"processes {', '.join(map(str, self.pids))} of a finished attempt were killed and do not die "
                         f"(a hung device or file system?); the attempt counts as running until they do")


@dataclass(frozen=True)
class Stat:
    """What /proc/PID/stat tells."""

    dead: bool  # though its parent has not buried it
    parent: int
    start_ticks: int  # since the host was started


def stat_of(pid: int) -> Stat | None:
    try:
        text = _read(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(b")")[2].split()  # from the third on: the name may hold blanks, brackets and line ends
    return Stat(fields[0] in (b"Z", b"X"), int(fields[1]), int(fields[19]))


def nonce_of(pid: int) -> str | None:
    try:
        environment = _read(f"/proc/{pid}/environ")
    except OSError:  # it ended meanwhile, or is another user's
        return None
    for entry in environment.split(b"\0") if MARK in environment else ():
        if entry.startswith(MARK):
            return entry.removeprefix(MARK).decode(errors="replace")
    return None


def _read(path: str) -> bytes:
    """Five times as fast as pathlib; a host has hundreds of processes."""
    file, parts = os.open(path, os.O_RDONLY | os.O_CLOEXEC), []
    try:
        while part := os.read(file, 1 << 16):
            parts.append(part)
    finally:
        os.close(file)
    return b"".join(parts)


def all_pids() -> Iterator[set[int]]:
    """All processes but ourselves, and then, some times more, those that have begun while the former were looked at:
    what forks on and on is caught only in the moment."""
    seen = {os.getpid()}
    for _ in range(PASSES):
        new = {int(name) for name in os.listdir("/proc") if name.isdigit()} - seen  # noqa: PTH208
        yield new
        seen |= new
        if not new:
            return


def all_nonces() -> dict[int, str]:
    """Who has one, and which."""
    return {pid: nonce for pids in all_pids() for pid in pids if (nonce := nonce_of(pid)) is not None}


def holds_one_of(nonces: Collection[str]) -> Callable[[int], bool]:
    return lambda pid: nonce_of(pid) in nonces


def member_of(session: int, begun_ticks: int) -> Callable[[int], bool]:
    """Of the session whose leader began at that time. A later one of the same number has another leader, and there is
    none while a member of this one lives."""
    def belongs(pid: int) -> bool:
        if _session_of(pid) != session:
            return False
        stat, leader = stat_of(pid), stat_of(session)
        return stat is not None and not stat.dead and (leader is None or leader.start_ticks == begun_ticks)

    return belongs


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def hold(pid: int, start_ticks: int | None = None) -> int | None:
    """A pidfd of the process of this number, and of this beginning if one is given. None: there is none any more."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    stat = stat_of(pid)  # read after the opening: whoever has begun at that time had the number before it too
    if stat is not None and start_ticks in (None, stat.start_ticks):
        return pidfd
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


def kill_all(belongs: Callable[[int], bool], limit_s: float = LIMIT_S) -> int:
    """Kill all that belong, and what they fork meanwhile, and see them dead; how many they were. Else StillAlive."""
    killed: set[int] = set()
    deadline_s = time.monotonic() + limit_s
    while True:
        with contextlib.ExitStack() as stack:
            held: dict[int, int] = {}
            for pids in all_pids():
                found = {pid: pidfd for pid in pids if (pidfd := _hold_if(belongs, pid, stack)) is not None}
                for pid, pidfd in found.items():
                    _kill_with_group(pid, pidfd)
                held |= found
            if not held:
                return len(killed)
            if not wait_dead(held.values(), max(0.0, deadline_s - time.monotonic())):
                raise StillAlive([pid for pid, pidfd in held.items() if not wait_dead([pidfd], 0.0)])
            killed |= held.keys()


def _hold_if(belongs: Callable[[int], bool], pid: int, stack: contextlib.ExitStack) -> int | None:
    """Asked again when it is held: so no stranger is hit that got the number of one who ended in between."""
    if not belongs(pid) or (pidfd := hold(pid)) is None:
        return None
    stack.callback(os.close, pidfd)
    return pidfd if belongs(pid) else None


def _kill_with_group(pid: int, pidfd: int) -> None:
    """The group first, in one step, so that none of it can fork on: an attempt's groups hold nothing else."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(pid)
        if group != os.getpgrp():
            os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(PermissionError):
        send(pidfd, signal.SIGKILL)
