"""Where attempts run. The supervisor knows only this interface; `LocalExecutor` runs them on this host."""

from __future__ import annotations

import contextlib
import fcntl
import os
import py_compile
import shutil
import signal
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adaptive_nerf.common.clock import boot_id
from adaptive_nerf.common.errors import AdaptiveNerfError, Failure
from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.jobs import processes
from adaptive_nerf.jobs.attempt_files import (
    EXIT,
    LOCK,
    NONCE_NAME,
    OUTPUT,
    STARTED,
    Ended,
    Order,
    Started,
    read_ended,
    read_started,
    write_order,
)

SHIM = Path(__file__).with_name("shim.py")
BARE_PYTHON = ("-I", "-S")  # neither site packages, nor PYTHON* variables, nor the folder of the shim on the path
HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # until the shim listens
LOOK_AGAIN_S, LOOK_SHARED_S = 0.005, 0.1
APPEAR_S = 5.0
KILL_S = 0.2


class SpawnFailed(Failure):
    pass


@dataclass(eq=False)
class Handle:
    """A live attempt, or one that was alive just now. `pidfd` is the shim's: readable when it is dead."""

    folder: Path
    nonce: str
    pidfd: int

    def close(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class Executor(Protocol):
    def start(self, order: Order) -> Handle:
        """Begin an attempt; SpawnFailed if it cannot be."""

    def find(self, folder: Path, nonce: str) -> Handle | Ended | None:
        """Alive, also if only just spawned | ended | dead without a trace."""

    def stop(self, handle: Handle) -> None:
        """Ask it to end; the grace and what follows it are not the caller's business."""

    def kill(self, handle: Handle) -> None:
        """End at once all that belongs to the attempt, also its keeper: for when that does not obey."""

    def reap(self, handle: Handle) -> Ended | None:
        """Once the pidfd is readable: how it ended, None if nobody can say. No process of it is left then, which may
        raise StillAlive: try again later."""

    def finish(self, folder: Path, nonce: str) -> Ended | None:
        """The same for an attempt that has no live shim any more, as `find` says by None."""

    def sweep(self, nonces: Collection[str]) -> int:
        """End whatever is left of these attempts; how many processes that were."""


class LocalExecutor:
    """One shim per attempt, which outlives us. All state is in the folders and in the kernel."""

    def __init__(self, python: str = sys.executable):
        self.python, self.shim = python, _compiled(SHIM)
        self._look = (-LOOK_SHARED_S, dict[int, str]())  # when, and who had which nonce

    def start(self, order: Order) -> Handle:
        try:
            order.folder.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(order.folder)
        except OSError as error:
            raise SpawnFailed(f"{order.folder} cannot be used: {error.strerror}; free it or make room") from error
        try:
            _clear(order.folder)
            write_order(order)
            failpoint("spawn")
            pid = self._spawn(order, lock)
            failpoint("spawned")
        except (OSError, AdaptiveNerfError) as error:
            raise SpawnFailed(f"attempt {order.attempt} of job {order.job_id} could not be started: {error}") from error
        finally:
            os.close(lock)
        return Handle(order.folder, order.nonce, _pidfd_of_child(pid))

    def _spawn(self, order: Order, lock: int) -> int:
        """The lock becomes the shim's standard error, so there is no instant at which the attempt is unlocked."""
        shim = self.shim if self.shim.exists() else SHIM  # compiled files may be cleaned away under us
        argv = [self.python, *BARE_PYTHON, str(shim), str(order.folder.absolute()), str(order.grace_s),
                str(order.cwd.absolute()), *order.argv]
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0), (os.POSIX_SPAWN_DUP2, 0, 1),
                   (os.POSIX_SPAWN_DUP2, lock, 2)]
        return os.posix_spawn(self.python, argv, {**order.env, NONCE_NAME: order.nonce}, file_actions=actions,
                              setsid=True, setsigmask=HELD_BACK)

    def find(self, folder: Path, nonce: str) -> Handle | Ended | None:
        deadline_s = time.monotonic() + APPEAR_S
        while is_locked(folder / LOCK):
            if (pidfd := _shim_by_file(folder, nonce)) is not None or (pidfd := self._shim_by_nonce(nonce)) is not None:
                return Handle(folder, nonce, pidfd)
            if time.monotonic() > deadline_s:
                raise Failure(f"{folder / LOCK} is locked, but no process of that attempt is to be seen; "
                              f"end the program that holds it (fuser {folder / LOCK}) and start again")
            time.sleep(LOOK_AGAIN_S)
        return read_ended(folder, nonce)

    def _shim_by_nonce(self, nonce: str) -> int | None:
        """A shim that has not written yet who it is, or could not: the one holder whose parent is no holder. A look at
        all processes takes some ms, so that many who are sought share one."""
        if time.monotonic() - self._look[0] > LOOK_SHARED_S:
            self._look = time.monotonic(), processes.all_nonces()
        for pid in [pid for pid, held in self._look[1].items() if held == nonce]:
            stat = processes.stat_of(pid)
            if stat is not None and processes.nonce_of(pid) == nonce != processes.nonce_of(stat.parent):
                return processes.hold(pid, stat.start_ticks)
        return None

    def stop(self, handle: Handle) -> None:
        processes.send(handle.pidfd, signal.SIGTERM)

    def kill(self, handle: Handle) -> None:
        with contextlib.suppress(processes.StillAlive):  # who cannot die now dies when it can; nobody waits here
            processes.kill_all(processes.holds_one_of([handle.nonce]), limit_s=KILL_S)

    def reap(self, handle: Handle) -> Ended | None:
        with contextlib.suppress(ChildProcessError):  # a shim that we took back is not our child
            os.waitid(os.P_PIDFD, handle.pidfd, os.WEXITED | os.WNOHANG)
        return self.finish(handle.folder, handle.nonce)

    def finish(self, folder: Path, nonce: str) -> Ended | None:
        ended = read_ended(folder, nonce)
        if ended is None:  # nobody has buried what is left
            self.sweep([nonce])
            _end_session(read_started(folder, nonce))
        return ended

    def sweep(self, nonces: Collection[str]) -> int:
        return processes.kill_all(processes.holds_one_of(set(nonces))) if nonces else 0


def _compiled(source: Path) -> Path:
    """A program run by its path is compiled anew at every start; doing so once here spares each shim a quarter."""
    try:
        return Path(py_compile.compile(str(source), doraise=True) or source)
    except OSError:  # installed where we may not write
        return source


def _take_lock(folder: Path) -> int:
    """The file is locked before it has its name: so whoever sees it sees it locked, until the shim is dead."""
    if is_locked(folder / LOCK):
        raise SpawnFailed(f"{folder} is in use: an attempt runs there already")
    new = folder / f".{LOCK}.tmp"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / LOCK)
    except BaseException:
        os.close(lock)
        raise
    return lock


def is_locked(path: Path) -> bool:
    """Asks for a shared lock, so that two who ask do not take each other for the shim."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _clear(folder: Path) -> None:
    """An attempt of the same number from a life before the state folder was lost: its answers must not be ours."""
    for name in (EXIT, STARTED):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / OUTPUT, ignore_errors=True)


def _shim_by_file(folder: Path, nonce: str) -> int | None:
    started = read_started(folder, nonce)
    if started is None or started.boot_id != boot_id():
        return None
    return processes.hold(started.shim_pid, started.shim_start_ticks)


def _end_session(started: Started | None) -> None:
    """What the runner started with an empty environment has no nonce, but is mostly still of the runner's session."""
    if started is not None and started.boot_id == boot_id():
        processes.kill_all(processes.member_of(started.runner_pid, started.runner_start_ticks))


def _pidfd_of_child(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError as error:  # no descriptors left: a job that we cannot watch must not run
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise SpawnFailed(f"the new process cannot be watched: {error.strerror}; allow more open files") from error
