"""The process between the mediator and one runner: it lives exactly as long as the runner and all that came from it.

    python -I -S shim.py ATTEMPT_DIR        run by its path: standard library only, one thread, nothing of ours imported

It forks the runner that `order.json` asks for, drains what it prints into bounded files, passes a stop request
(SIGTERM) on to it, ends it with SIGKILL when the grace is over, buries every process that it left behind, and as its
last act writes `exit.json`. Its standard error is the attempt's `lock` file, locked by the mediator before the spawn:
so the attempt is locked as long as this process lives, and what the interpreter complains about is kept there.
Whatever the disk does, output is drained and processes are killed; what cannot be written is dropped and counted.
"""
# No pathlib: importing it costs half as much again as starting Python does.
# ruff: noqa: PTH103, PTH104, PTH108, PTH123, PTH208

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

VERSION = 1
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MIB = 1 << 20
HEAD_BYTES, TAIL_BYTES, TAIL_FILES = MIB, 8 * MIB, 8
PIPE_BYTES = MIB
RESERVED_BYTES = 4096  # more than exit.json ever needs
LAST_DRAIN_S = 2.0
OOM_SCORE = "500"  # when memory runs out the kernel should take the runner, not the service

libc = ctypes.CDLL(None, use_errno=True)


class Output:
    """Keeps the first MiB and the latest 64 MiB of what is printed, and never stands in the way of the printing."""

    def __init__(self, folder: str):
        self.folder, self.number, self.room, self.file = folder, -1, 0, -1
        self.dropped = self.gap = 0
        self.buffer = memoryview(bytearray(MIB // 4))

    def take(self, pipe: int) -> bool:
        """Move one bufferful; False at the end of the pipe."""
        count = os.readv(pipe, [self.buffer])
        self.keep(self.buffer[:count])
        return count > 0

    def keep(self, data: memoryview) -> None:
        try:
            if self.gap and data:
                self._write(memoryview(b"\n[%d bytes of output could not be written here]\n" % self.gap))
                self.gap = 0
            self._write(data)
        except OSError:
            self.dropped += len(data)
            self.gap += len(data)

    def _write(self, data: memoryview) -> None:
        while data:
            if not self.room:
                self._turn()
            count = os.write(self.file, data[: self.room])
            self.room -= count
            data = data[count:]

    def _turn(self) -> None:
        number = self.number + 1
        if number > TAIL_FILES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.folder}/tail.{number - TAIL_FILES:06d}.txt")
        name = f"tail.{number:06d}.txt" if number else "head.txt"
        new = os.open(f"{self.folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        if self.file >= 0:
            os.close(self.file)
        self.file, self.number, self.room = new, number, TAIL_BYTES if number else HEAD_BYTES


class Shim:
    def __init__(self, folder: str):
        with open(f"{folder}/order.json", "rb") as stream:
            self.order: dict[str, Any] = json.load(stream)
        self.folder = folder
        self.started_at, self.oom_kills = time.time(), oom_kills()
        self.stop_asked = False
        self.output = Output(f"{folder}/output")
        self.runner = self.pipe = self.status = 0
        self.strays = 0
        self.wake, self._waker = os.pipe()
        self.poll = select.poll()

    def run(self) -> None:
        self._listen()
        self._reserve()
        error = self._spawn()
        if not error:
            self._tell_started()
            self._watch()
            signal_group(self.runner, signal.SIGKILL)  # the runner is dead but not yet buried, so its number is its own
        self._bury()
        if not error:
            self._last_drain()
        code = None if error else os.waitstatus_to_exitcode(self.status)
        self._tell_ended(error, code)

    def _listen(self) -> None:
        """The mediator had the signals held back, so that a stop request in our first moments is not our death."""
        for end in (self.wake, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.poll.register(self.wake, select.POLLIN)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def _on_stop(self, *_: object) -> None:
        self.stop_asked = True

    def _reserve(self) -> None:
        """Take the place of exit.json on the disk now: overwriting and renaming it works on a full disk too."""
        try:
            os.makedirs(f"{self.folder}/output", exist_ok=True)
            reserved = os.open(f"{self.folder}/.exit.json.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.posix_fallocate(reserved, 0, RESERVED_BYTES)
            os.close(reserved)
        except OSError as error:
            note(f"no place could be reserved: {error}")

    def _spawn(self) -> str:
        """Fork the runner; the text says why it could not be started."""
        parent = os.getpid()
        try:
            self.pipe, printing = os.pipe()
            failed, report = os.pipe()
            self.runner = os.fork()
        except OSError as error:
            return f"no process can be made: {error.strerror}"
        if not self.runner:
            become_runner(self.order, parent, printing, report)
        os.close(printing)
        os.close(report)
        os.set_blocking(self.pipe, False)
        with contextlib.suppress(OSError):  # over the user's limit of pipe memory a smaller pipe serves as well
            fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with open(failed, "rb") as stream:
            return stream.read().decode(errors="replace")  # nothing but the end of the pipe once the runner runs

    def _tell_started(self) -> None:
        try:
            self._write_json("started.json", {
                "v": VERSION, "nonce": self.order["nonce"], "boot_id": first_line("/proc/sys/kernel/random/boot_id"),
                "shim_pid": os.getpid(), "shim_start_ticks": start_ticks(os.getpid()),
                "runner_pid": self.runner, "runner_start_ticks": start_ticks(self.runner), "at": self.started_at})
        except OSError as error:
            note(f"started.json could not be written: {error}")

    def _watch(self) -> None:
        """Drain, and hand on a stop request, until the runner is dead."""
        self.poll.register(self.pipe, select.POLLIN)
        deadline_s: float | None = None
        while not self._runner_is_dead():
            wait_ms = None if deadline_s is None else max(0.0, (deadline_s - time.monotonic()) * 1000 + 1)
            ready = dict(self.poll.poll(wait_ms))
            if self.pipe in ready and not self.output.take(self.pipe):
                self.poll.unregister(self.pipe)
            if self.wake in ready:
                os.read(self.wake, 4096)
            if self.stop_asked and deadline_s is None:
                deadline_s = time.monotonic() + float(self.order["grace_s"])
                signal_group(self.runner, signal.SIGTERM)
                signal_group(self.runner, signal.SIGCONT)  # a stopped process could not obey
            if deadline_s is not None and time.monotonic() >= deadline_s:
                deadline_s = time.monotonic() + 1.0
                signal_group(self.runner, signal.SIGKILL)

    def _runner_is_dead(self) -> bool:
        """Leaves the runner unburied, so that its process group can still be named without doubt."""
        while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if dead.si_pid == self.runner:
                return True
            os.waitpid(dead.si_pid, 0)  # a process that was left to us and ended by itself
        return False

    def _bury(self) -> None:
        """Kill and reap until the kernel says that no child is left. Being the subreaper, we get every descendant."""
        pause_ms = 1
        while self._reap():
            for child in children():
                signal_group(os.getpgid(child), signal.SIGKILL)  # the whole group at once: none of it can fork on
            if not self._reap():
                return
            self.poll.poll(pause_ms)
            pause_ms = min(2 * pause_ms, 500)  # what the kernel cannot end now, as in a hung driver, is waited for

    def _reap(self) -> bool:
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self.runner:
                    self.status = status
                elif pid:
                    self.strays += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                else:
                    return True
        except ChildProcessError:
            return False

    def _last_drain(self) -> None:
        """All writers are dead, unless one gave the pipe away to a stranger: hence the time limit."""
        deadline_s = time.monotonic() + LAST_DRAIN_S
        with contextlib.suppress(BlockingIOError):  # nothing more in it, though somebody still holds the other end
            while time.monotonic() < deadline_s and self.output.take(self.pipe):
                pass

    def _tell_ended(self, error: str, code: int | None) -> None:
        signalled = code is not None and code < 0
        ended = {"v": VERSION, "nonce": self.order["nonce"], "code": None if signalled else code,
                 "signal": -code if signalled and code is not None else None, "spawn_error": error or None,
                 "oom_kills": oom_kills() - self.oom_kills, "strays_killed": self.strays,
                 "output_dropped_bytes": self.output.dropped, "started_at": self.started_at, "ended_at": time.time()}
        while True:
            try:
                self._write_json("exit.json", ended, durable=True)
                return
            except FileNotFoundError:
                return note("the attempt's folder is gone; nobody will learn how it ended")
            except OSError as problem:
                note(f"exit.json could not be written: {problem}")
                time.sleep(1.0)

    def _write_json(self, name: str, value: dict[str, Any], durable: bool = False) -> None:
        temporary = f"{self.folder}/.{name}.tmp"
        content = json.dumps(value).encode() + b"\n"
        stream = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(stream, content)
            os.ftruncate(stream, len(content))
            if durable:
                os.fsync(stream)
        finally:
            os.close(stream)
        os.rename(temporary, f"{self.folder}/{name}")
        if durable:
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(folder)
            os.close(folder)


def become_runner(order: dict[str, Any], parent: int, printing: int, report: int) -> NoReturn:
    """In the child of the fork. Only here may the parent-death signal be set: it is bound to the forking thread."""
    try:
        os.setsid()
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the shim died before it could be our insurance
        os.dup2(printing, 1)
        os.dup2(printing, 2)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write(OOM_SCORE)
        os.chdir(order["cwd"])
        os.execvpe(order["argv"][0], order["argv"], order["env"])
    except (OSError, ValueError) as error:
        os.write(report, f"{order['argv'][0]} cannot be started in {order['cwd']}: {error}".encode()[:2000])
    finally:
        os._exit(1)


def signal_group(group: int, number: int) -> None:
    """Every descendant is in a group of its own kind, for the runner began a session."""
    with contextlib.suppress(PermissionError, ProcessLookupError):  # ended meanwhile; or another user's: waited for
        if group != os.getpgrp():
            os.killpg(group, number)


def stat_fields(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the name before them may hold blanks and brackets."""
    return first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()


def start_ticks(pid: int) -> int:
    return int(stat_fields(pid)[19])


def children() -> list[int]:
    """By reading all of /proc: the kernel's own list of children is not built into every kernel."""
    own, found = str(os.getpid()), []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if stat_fields(name)[1] == own:
                    found.append(int(name))
            except OSError:
                continue  # it ended meanwhile
    return found


def oom_kills() -> int:
    with open("/proc/vmstat", "rb") as stream:
        counts = [line.split()[1] for line in stream if line.startswith(b"oom_kill ")]
    return int(counts[0]) if counts else 0


def first_line(path: str) -> str:
    with open(path, errors="replace") as stream:
        return stream.readline().rstrip("\n")


def note(text: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk there is nobody left to tell
        os.write(2, f"{text}\n".encode())


if __name__ == "__main__":
    os.closerange(3, 1 << 16)  # what libraries of the mediator left open must not outlive it
    Shim(sys.argv[1]).run()
