"""What this machine has for the field engine, which engine serves, and why: findings for people.

The parts that need torch are in serving.py: a machine without torch gets a line that says so, and the other lines.
"""

import importlib
import os
import platform
import shlex
import sys

from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.findings import Finding
from adaptive_nerf.engine.cpu import build

OLDEST = (3, 11)
WIDE = ("avx512f", "avx2", "asimd")  # widest first
EXTRAS = ("fma", "avx512_bf16", "amx_bf16")


def findings() -> list[Finding]:
    try:
        serving = importlib.import_module("adaptive_nerf.engine.serving")
    except (ImportError, OSError) as error:  # OSError: a library of torch's that cannot be loaded
        missing = Finding("torch", "wrong", f"it cannot be imported ({error}), and without it no engine serves",
                          "make setup, and run the commands by the Python in .venv")
        return [_python(), missing, _processor(), _compiler()]
    return [_python(), *serving.of_torch(), _processor(), _compiler(), *serving.of_engines()]


def _python() -> Finding:
    state = "ok" if sys.version_info >= OLDEST else "wrong"
    remedy = "" if state == "ok" else "make setup PYTHON=python3.11, or newer"
    return Finding("Python", state, f"{platform.python_version()} at {sys.executable}", remedy)


def _processor() -> Finding:
    name, listed = build.cpu_facts()
    has = set(listed.split())
    width = next((feature for feature in WIDE if feature in has), None)
    extras = [feature for feature in EXTRAS if feature in has]
    words = f"{name or platform.machine()}, {_cores()}, {width or 'narrow vectors'}"
    if width is None:
        return Finding("CPU", "missing", words, "the engine works, but slowly: a CPU with AVX2 is several times faster")
    return Finding("CPU", "ok", ", ".join([words, *extras]))


def _cores() -> str:
    """A quota makes cores of no use that the process may run on."""
    usable, allowed = usable_cores(), len(os.sched_getaffinity(0))
    why = f" of {allowed} (a quota of this container or service)" if usable < allowed else ""
    return f"{usable} cores usable{why}"


def _compiler() -> Finding:
    found = build.compiler()
    if found:
        return Finding("C++ compiler", "ok", shlex.join(found))
    return Finding("C++ compiler", "missing", "none of $CXX, c++, g++, clang++ is there",
                   "on Debian: apt-get install g++; without it plain torch serves, many times slower")
