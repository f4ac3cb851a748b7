"""What this machine has for the field engine, which engine serves, and why: findings for people."""

import importlib.util
import os
import platform
import sys

import torch

from adaptive_nerf.common.errors import AdaptiveNerfError
from adaptive_nerf.common.findings import Finding
from adaptive_nerf.engine.cpu import build
from adaptive_nerf.engine.cpu.library import library
from adaptive_nerf.engine.engines import engine
from adaptive_nerf.engine.threads import VARIABLE, threads

OLDEST = (3, 11)
WIDE = ("avx512f", "avx2", "asimd")  # widest first
EXTRAS = ("fma", "avx512_bf16", "amx_bf16")


def findings() -> list[Finding]:
    return [_python(), _torch(), _gpu(), _processor(), _compiler(), _cpu_engine(), _serving("cpu"),
            *([_serving("cuda")] if torch.cuda.is_available() else [])]


def _python() -> Finding:
    state = "ok" if sys.version_info >= OLDEST else "wrong"
    remedy = "" if state == "ok" else "make setup PYTHON=python3.11, or newer"
    return Finding("Python", state, f"{platform.python_version()} at {sys.executable}", remedy)


def _torch() -> Finding:
    return Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads"
                   + (" (OMP_NUM_THREADS says so)" if "OMP_NUM_THREADS" in os.environ else ""))


def _gpu() -> Finding:
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        extra = "with tinycudann" if importlib.util.find_spec("tinycudann") else "without tinycudann (torch serves)"
        return Finding("GPU", "ok", f"{names}; CUDA {torch.version.cuda}, {extra}")
    if torch.version.cuda is None:
        return Finding("GPU", "missing", "this torch is a build without CUDA",
                       "for an NVIDIA GPU install a torch for its CUDA (requirements-torch.txt); else nothing to do")
    driver = os.path.exists("/proc/driver/nvidia/version")  # noqa: PTH110
    return Finding("GPU", "missing", f"torch is built for CUDA {torch.version.cuda}, and sees no GPU; "
                   + ("there is an NVIDIA driver" if driver else "there is no NVIDIA driver"),
                   "is the driver too old, or CUDA_VISIBLE_DEVICES empty?" if driver
                   else "for an NVIDIA GPU install its driver; without one the CPU serves")


def _processor() -> Finding:
    name, listed = build.cpu_facts()
    has = set(listed.split())
    width = next((feature for feature in WIDE if feature in has), None)
    extras = [feature for feature in EXTRAS if feature in has]
    words = f"{name or platform.machine()}, {len(os.sched_getaffinity(0))} cores usable, {width or 'narrow vectors'}"
    if width is None:
        return Finding("CPU", "missing", words, "the engine works, but slowly: a CPU with AVX2 is several times faster")
    return Finding("CPU", "ok", ", ".join([words, *extras]))


def _compiler() -> Finding:
    found = build.compiler()
    if found:
        return Finding("C++ compiler", "ok", found)
    return Finding("C++ compiler", "missing", "none of $CXX, c++, g++, clang++ is there",
                   "on Debian: apt-get install g++; without it plain torch serves, many times slower")


def _cpu_engine() -> Finding:
    try:
        library()
    except AdaptiveNerfError as error:
        return Finding("cpu engine", "missing", str(error), "plain torch serves meanwhile")
    said = f" ({VARIABLE} says so)" if os.environ.get(VARIABLE) else ""
    return Finding("cpu engine", "ok", f"{threads()} threads{said}, built: {build.library_path()}")


def _serving(device: str) -> Finding:
    choice = os.environ.get("ADAPTIVE_NERF_ENGINE", "auto")
    name = f"engine for {device}"
    try:
        serves = engine(device).name
    except AdaptiveNerfError as error:
        return Finding(name, "wrong", str(error), "unset ADAPTIVE_NERF_ENGINE, or choose another")
    why = "the best there is here" if choice == "auto" else f"ADAPTIVE_NERF_ENGINE={choice} says so"
    return Finding(name, "ok" if serves != "torch" or choice == "torch" or device != "cpu" else "missing",
                   f"{serves}, {why}")
