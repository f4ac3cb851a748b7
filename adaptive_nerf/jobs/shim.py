"""The process between the mediator and one runner: it lives exactly as long as the runner and all that came from it.

    python -I -S shim.py ATTEMPT_DIR GRACE_S CWD PROGRAM [ARGUMENT...]

Run by its path: standard library only, one thread, nothing of ours imported. It forks the runner, drains what it prints
into bounded files, passes a stop request (SIGTERM) on to it, ends it with SIGKILL when the grace is over, buries every
process that it left behind, and as its last act writes `exit.json`. Its standard error is the attempt's `lock` file,
locked by the mediator before the spawn: so the attempt is locked for as long as this process lives, and what the
interpreter complains about is kept there. Whatever the disk does, output is drained and processes are killed.

Every running job has one of these, and waits for it at its start. So it imports little (json, signal, typing, pathlib
and contextlib would each cost a third of what starting Python does) and takes its signals from a file (signalfd),
which needs no handlers either.
"""
# ruff: noqa: PTH103, PTH104, PTH108, PTH123, PTH208, SIM105

import ctypes
import fcntl
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn

VERSION = 1
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGCHLD, SIGCONT, LAST_SIGNAL = 1, 2, 9, 15, 17, 18, 31
TAKEN_FROM_THE_FILE = (SIGTERM, SIGCHLD, SIGINT, SIGHUP)  # the last two only to have no effect
SIG_SETMASK, SIGSET_BYTES, SIGINFO_BYTES = 2, 128, 128
MIB = 1 << 20
HEAD_BYTES, TAIL_BYTES, TAIL_FILES = MIB, 8 * MIB, 8
PIPE_BYTES = BUFFER_BYTES = MIB // 4  # a user may have 64 MiB of pipes
RESERVED_BYTES = 4096  # more than exit.json needs
LAST_DRAIN_S, RETRY_S = 2.0, 1.0
PASSES = 20
OOM_SCORE = "500"

libc = ctypes.CDLL(None, use_errno=True)


class Output:
    """Keeps the first MiB and the latest 64 MiB of what is printed, and never stands in the way of the printing."""

    def __init__(self, folder: str):
        self.folder, self.number, self.room, self.file = folder, -1, 0, -1
        self.dropped = self.gap = 0
        self.buffer = memoryview(bytearray(BUFFER_BYTES))

    def take(self, pipe: int) -> bool:
        """Move one bufferful; False at the end of the pipe."""
        count = os.readv(pipe, [self.buffer])
        if count:
            self._keep(self.buffer[:count])
        return count > 0

    def _keep(self, data: memoryview) -> None:
        note = b"\n[%d bytes of output could not be written here]\n" % self.gap if self.gap else b""
        missing = len(data)
        if self._write(memoryview(note)) == len(note):
            self.gap = 0
            missing -= self._write(data)
        self.gap += missing
        self.dropped += missing

    def _write(self, data: memoryview) -> int:
        """As much as the disk takes; how much that was."""
        written = 0
        try:
            while written < len(data):
                if not self.room:
                    self._turn()
                count = os.write(self.file, data[written : written + self.room])
                self.room -= count
                written += count
        except OSError:
            pass  # counted by the caller; a full disk must not stop the draining
        return written

    def _turn(self) -> None:
        number = self.number + 1
        name = f"tail.{number:06d}.txt" if number else "head.txt"
        if number > TAIL_FILES:
            remove(f"{self.folder}/tail.{number - TAIL_FILES:06d}.txt")
        new = os.open(f"{self.folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        if self.file >= 0:
            os.close(self.file)
        self.file, self.number, self.room = new, number, TAIL_BYTES if number else HEAD_BYTES


class Shim:
    def __init__(self, folder: str, grace_s: float, cwd: str, argv: list[str]):
        self.folder, self.grace_s, self.cwd, self.argv = folder, grace_s, cwd, argv
        self.nonce = os.environ["ADAPTIVE_NERF_NONCE"]
        self.started_at, self.oom_kills_before = time.time(), oom_kills()
        self.output = Output(f"{folder}/output")
        self.runner = self.pipe = self.strays = 0
        self.status: int | None = None
        self.signals = signal_file()
        self.poll = select.poll()
        self.poll.register(self.signals, select.POLLIN)

    def run(self) -> None:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._reserve()
        error = self._spawn()
        if not error:
            self._tell_started()
            self._watch()
        self._bury()
        if not error:
            self._last_drain()
        self._tell_ended(error)

    def _reserve(self) -> None:
        """Take the place of exit.json on the disk now: overwriting and renaming it works on a full disk too."""
        try:
            os.makedirs(self.output.folder, exist_ok=True)
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
            become_runner(parent, self.cwd, self.argv, printing, report)
        os.close(printing)
        os.close(report)
        os.set_blocking(self.pipe, False)
        try:
            fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pass  # over the user's limit of pipe memory; a smaller pipe serves as well
        with open(failed, "rb") as stream:
            return stream.read().decode(errors="replace")  # nothing but the end of the pipe once the runner runs

    def _tell_started(self) -> None:
        """Needs no fsync: nobody who is named here outlives a power cut."""
        try:
            write_json(f"{self.folder}/started.json", {
                "v": VERSION, "nonce": self.nonce, "boot_id": first_line("/proc/sys/kernel/random/boot_id"),
                "shim_pid": os.getpid(), "shim_start_ticks": start_ticks(os.getpid()),
                "runner_pid": self.runner, "runner_start_ticks": start_ticks(self.runner), "at": self.started_at})
        except OSError as error:
            note(f"started.json could not be written: {error}")

    def _watch(self) -> None:
        """Drain, and hand on a stop request, until the runner is dead."""
        self.poll.register(self.pipe, select.POLLIN)
        asked, deadline_s = False, None
        while self._reap() and self.status is None:
            wait_ms = None if deadline_s is None else max(0.0, (deadline_s - time.monotonic()) * 1000 + 1)
            ready = dict(self.poll.poll(wait_ms))
            if self.pipe in ready and not self.output.take(self.pipe):
                self.poll.unregister(self.pipe)
            if self.signals in ready and SIGTERM in taken_signals(self.signals) and not asked:
                asked, deadline_s = True, time.monotonic() + self.grace_s
                signal_group(self.runner, SIGTERM)
                signal_group(self.runner, SIGCONT)  # a stopped process could not obey
            if deadline_s is not None and time.monotonic() >= deadline_s:
                deadline_s = None
                signal_group(self.runner, SIGKILL)

    def _bury(self) -> None:
        """Kill and reap until the kernel says that no child is left; as the subreaper we are left every descendant."""
        pause_ms = 1
        while self._reap():
            for child in children():
                signal_group(os.getpgid(child), SIGKILL)  # the whole group in one step: none of it can fork on
            if not self._reap():
                return
            self.poll.poll(pause_ms)
            taken_signals(self.signals)
            pause_ms = min(2 * pause_ms, 500)  # what the kernel cannot end now, as in a hung driver, is waited for

    def _reap(self) -> bool:
        """Reap the dead; whether any child lives. Nobody else does: so the number of a child is its own until then."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return True
                if pid == self.runner:
                    self.status = status
                elif self.status is not None:
                    self.strays += os.WIFSIGNALED(status) and os.WTERMSIG(status) == SIGKILL
        except ChildProcessError:
            return False

    def _last_drain(self) -> None:
        """All writers are dead, unless one gave the pipe away to a stranger: hence the time limit."""
        deadline_s = time.monotonic() + LAST_DRAIN_S
        try:
            while time.monotonic() < deadline_s and self.output.take(self.pipe):
                pass
        except BlockingIOError:
            pass  # nothing more in it, though somebody still holds the other end

    def _tell_ended(self, error: str) -> None:
        code = None if error or self.status is None else os.waitstatus_to_exitcode(self.status)
        ended: Mapping[str, int | float | str | None] = {
            "v": VERSION, "nonce": self.nonce, "code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None, "spawn_error": error or None,
            "oom_kills": oom_kills() - self.oom_kills_before, "strays_killed": self.strays,
            "output_dropped_bytes": self.output.dropped, "started_at": self.started_at, "ended_at": time.time()}
        told = ""
        while True:  # all is dead by now, and this file alone says how: so it is tried until the disk takes it
            try:
                return write_json(f"{self.folder}/exit.json", ended, durable=True)
            except FileNotFoundError:
                return note("the attempt's folder is gone: nobody can be told how it ended")
            except OSError as problem:
                if str(problem) != told:
                    note(told := str(problem))
                time.sleep(RETRY_S)


def become_runner(parent: int, cwd: str, argv: list[str], printing: int, report: int) -> "NoReturn":
    """In the child of the fork. Only here may the parent-death signal be set: it is bound to the forking thread."""
    try:
        os.setsid()
        libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the shim died before it could be our insurance
        os.dup2(printing, 1)
        os.dup2(printing, 2)
        for number in range(1, LAST_SIGNAL + 1):
            libc.signal(number, None)  # the default, whatever Python, or a shell before the mediator, ignores
        libc.sigprocmask(SIG_SETMASK, signal_set(), None)
        offer_to_the_oom_killer()
        os.chdir(cwd)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(report, f"{argv[0]} cannot be started in {cwd}: {error.strerror}".encode(errors="replace")[:2000])
    finally:
        os._exit(1)


def offer_to_the_oom_killer() -> None:
    """When memory runs out, the kernel should take the runner and not the service."""
    try:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write(OOM_SCORE)
    except OSError:
        pass  # /proc may be read-only


def signal_set(*numbers: int) -> ctypes.Array[ctypes.c_char]:
    signals = ctypes.create_string_buffer(SIGSET_BYTES)
    for number in numbers:
        libc.sigaddset(signals, number)
    return signals


def signal_file() -> int:
    """From now on these signals are read, not suffered. The mediator had them blocked, so none came before."""
    signals = signal_set(*TAKEN_FROM_THE_FILE)
    libc.sigprocmask(SIG_SETMASK, signals, None)
    return int(libc.signalfd(-1, signals, os.O_CLOEXEC | os.O_NONBLOCK))


def taken_signals(file: int) -> set[int]:
    try:
        return set(os.read(file, 32 * SIGINFO_BYTES)[::SIGINFO_BYTES])  # each record begins with the number
    except BlockingIOError:
        return set()


def signal_group(group: int, number: int) -> None:
    """Never our own group: the runner began a session, so all that came from it are in others."""
    try:
        if group != os.getpgrp():
            os.killpg(group, number)
    except (PermissionError, ProcessLookupError):
        pass  # it ended meanwhile, or it became another user's and has to be waited for


def children() -> "Iterator[int]":
    """By reading all of /proc, since not every kernel has a list of children; and then, a few times, what has begun
    meanwhile: a child that forks on and on is caught only in the moment."""
    own, seen = str(os.getpid()).encode(), set[str]()
    for _ in range(PASSES):
        new = {name for name in os.listdir("/proc") if name.isdigit()} - seen
        for name in new:
            try:
                if stat_fields(name)[1] == own:
                    yield int(name)
            except OSError:
                continue  # it ended meanwhile
        seen |= new


def start_ticks(pid: int) -> int:
    return int(stat_fields(str(pid))[19])


def stat_fields(pid: str) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on: the name before them may hold blanks, brackets, line ends."""
    stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(stat, 4096).rpartition(b")")[2].split()
    finally:
        os.close(stat)


def oom_kills() -> int:
    with open("/proc/vmstat") as stream:
        for line in stream:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def first_line(path: str) -> str:
    with open(path) as stream:
        return stream.readline().strip()


def write_json(path: str, values: "Mapping[str, int | float | str | None]", durable: bool = False) -> None:
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.tmp"
    content = as_json(values).encode()
    stream = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(stream, content)
        os.ftruncate(stream, len(content))
        if durable:
            os.fsync(stream)
    finally:
        os.close(stream)
    os.rename(temporary, path)
    if durable:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(opened)
        os.close(opened)


def as_json(values: "Mapping[str, int | float | str | None]") -> str:
    return "{" + ", ".join(f'"{name}": {json_value(value)}' for name, value in values.items()) + "}\n"


def json_value(value: int | float | str | None) -> str:
    if isinstance(value, str):
        plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\u{min(ord(c), 0xFFFD):04x}" for c in value)
        return '"' + "".join(plain) + '"'
    return "null" if value is None else repr(value)


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def note(text: str) -> None:
    try:
        os.write(2, f"{text}\n".encode(errors="replace"))
    except OSError:
        pass  # the disk is full: there is nobody left to tell


if __name__ == "__main__":
    os.closerange(3, 1 << 16)  # what libraries of the mediator left open must not outlive it
    Shim(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4:]).run()
