"""The library of the cpu engine: compiled at first use for this very CPU, and kept in a cache.

The cache is keyed by the sources, the flags and the CPU. Processes that build at once wait for each other at a lock,
and the finished file gets its name by a rename: there is never half a library under that name.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from adaptive_nerf.common.errors import Failure

SOURCES = Path(__file__).parent / "kernels"
# Never -ffast-math: loading such a library makes the whole process flush subnormal numbers to zero.
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC",
         "-shared", "-Wno-psabi")


class Unavailable(Failure):
    """There is no library, and none can be made; says why."""


def compiler() -> str | None:
    named = os.environ.get("CXX", "").strip()
    return next(filter(None, map(shutil.which, [*([named] if named else []), "c++", "g++", "clang++"])), None)


def cache_folder() -> Path:
    named = os.environ.get("ADAPTIVE_NERF_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptive-nerf"


def library_path() -> Path:
    """Where the library lies, built if need be."""
    name = f"engine-{_key()}.so"
    folder = _usable(cache_folder())
    path = folder / name
    if not path.exists():
        with (folder / ".lock").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)  # not flock: a child forked meanwhile would hold it too
            if not path.exists():
                _compile(path)
    return path


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


def _usable(folder: Path) -> Path:
    """The cache, or a folder of this user's where the cache cannot be written."""
    for place in (folder, Path(tempfile.gettempdir()) / f"adaptive-nerf-{os.getuid()}"):
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(place, os.W_OK) and place.stat().st_uid == os.getuid():
            return place
    raise Unavailable(f"the cpu engine cannot be kept: {folder} cannot be written; name a folder: ADAPTIVE_NERF_CACHE")


def _compile(path: Path) -> None:
    found = compiler()
    if found is None:
        raise Unavailable("the cpu engine needs a C++ compiler, and there is none; on Debian: apt-get install g++")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        command = [found, *FLAGS, str(SOURCES / "engine.cpp"), "-o", str(temporary)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[-200:].strip())
            raise Unavailable(f"the cpu engine could not be compiled by {found}: {reason}")
        temporary.replace(path)
    except OSError as error:
        raise Unavailable(f"the cpu engine could not be built in {path.parent}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
