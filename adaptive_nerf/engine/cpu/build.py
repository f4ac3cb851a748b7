"""The library of the cpu engine: compiled at first use for this very CPU, and kept in a cache.

The cache is keyed by the sources, the flags and the CPU. Processes that build at once wait for each other at a lock,
and the finished file is on the disk before it gets its name: there is never half a library under that name. Whatever
goes wrong is Unavailable, with the reason: plain torch serves then.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from adaptive_nerf.common.atomic_files import fsync_folder
from adaptive_nerf.common.errors import Failure

SOURCES = Path(__file__).parent / "kernels"
# Never -ffast-math: loading such a library makes the whole process flush subnormal numbers to zero.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC",
         "-shared", "-Wno-psabi")
LONGEST_BUILD_S = 600  # it takes half a minute; a compiler that waits for what never comes is given up
KEPT_S = 90 * 86400  # libraries of other versions and CPUs
VARIABLE = "ADAPTIVE_NERF_CACHE"
log = logging.getLogger(__name__)


class Unavailable(Failure):
    """There is no library, and none can be made; says why."""


def compiler() -> list[str] | None:
    """The command, as $CXX says it or as it is usually called."""
    for command in (shlex.split(os.environ.get("CXX", "")), ["c++"], ["g++"], ["clang++"]):
        program = shutil.which(command[0]) if command else None
        if program:
            return [program, *command[1:]]
    return None


def library_path() -> Path:
    """Where the library lies, built if need be."""
    name = f"engine-{_key()}.so"
    made = cache_folder() / name
    if _is_ours(made):  # also where nothing can be written: somebody has built it beforehand
        return made
    path = _usable(cache_folder()) / name
    if not _is_ours(path):
        with _alone(path.parent):
            if not _is_ours(path):
                _compile(path)
                _clear_out(path)
    return path


def cache_folder() -> Path:
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptive-nerf"
    except RuntimeError:  # a user without a home
        return _instead()


def cpu_facts() -> tuple[str, str]:
    """The name of the CPU, and its features; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor(), ""
    facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    return named.get("model name", ""), named.get("flags", named.get("Features", ""))


def _key() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        if path.suffix in (".h", ".cpp"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update("\0".join([*FLAGS, platform.machine(), *cpu_facts()]).encode())
    return digest.hexdigest()[:24]


def _is_ours(path: Path) -> bool:
    """There, and made by this user or by the machine's administrator."""
    try:
        return path.stat().st_uid in (os.getuid(), 0)
    except OSError:
        return False


def _instead() -> Path:
    return Path(tempfile.gettempdir()) / f"adaptive-nerf-{os.getuid()}"


def _usable(folder: Path) -> Path:
    """The cache, or a folder of this user's where the cache cannot be written."""
    for place in (folder, _instead()):
        why = _unusable(place)
        if not why:
            return place
        if os.environ.get(VARIABLE):
            log.warning("%s %s; the engine is not kept there", place, why)
    raise Unavailable(f"the cpu engine cannot be kept: {folder} {_unusable(folder)}; name a folder: {VARIABLE}")


def _unusable(folder: Path) -> str:
    """Why nothing can be kept there; empty where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    if not os.access(folder, os.W_OK):
        return "cannot be written"
    return "" if folder.stat().st_uid == os.getuid() else "belongs to another user"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process builds. Where the file system knows no locks each may build its own: the last one stays.

    Not flock: a child that is forked meanwhile would hold it too.
    """
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context((folder / ".lock").open("w"))
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # which of the two, the system chooses
                log.info("another process builds the cpu engine; waiting for it")
                fcntl.lockf(lock, fcntl.LOCK_EX)
        except OSError as error:
            log.info("%s cannot be locked (%s)", folder, error.strerror)
        yield


def _compile(path: Path) -> None:
    command = compiler()
    if command is None:
        raise Unavailable("the cpu engine needs a C++ compiler, and there is none; on Debian: apt-get install g++")
    said, temporary = shlex.join(command), path.with_name(f".{path.name}.{os.getpid()}")
    log.info("the cpu engine is built for this CPU by %s, once; it takes about half a minute", said)
    try:
        done = subprocess.run([*command, *FLAGS, str(SOURCES / "engine.cpp"), "-o", str(temporary)], check=False,
                              capture_output=True, text=True, errors="replace", timeout=LONGEST_BUILD_S)
        if done.returncode:
            reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[-200:].strip())
            raise Unavailable(f"the cpu engine could not be compiled by {said}: {reason}")
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        fsync_folder(path.parent)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"the cpu engine could not be compiled: {said} was not done after {LONGEST_BUILD_S} s; name "
                          f"another compiler: CXX") from error
    except OSError as error:
        raise Unavailable(f"the cpu engine could not be built in {path.parent}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _clear_out(newest: Path) -> None:
    """What killed builds left, and libraries that were built long ago. Who uses one keeps it: it is in memory."""
    for path in (*newest.parent.glob("engine-*.so"), *newest.parent.glob(".engine-*.so.*")):
        with contextlib.suppress(OSError):
            if path != newest and time.time() - path.stat().st_mtime > KEPT_S:
                path.unlink()
