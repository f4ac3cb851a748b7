"""What torch and the engines find on this machine: the part of the diagnosis that needs torch."""

import os

import torch

from adaptive_nerf.common.errors import AdaptiveNerfError
from adaptive_nerf.common.findings import Finding
from adaptive_nerf.engine import driver
from adaptive_nerf.engine.cpu import build
from adaptive_nerf.engine.cpu.library import library
from adaptive_nerf.engine.engines import engine, kernels_in_triton, tiny_cuda_nn
from adaptive_nerf.engine.threads import VARIABLE, threads

NO_KERNELS_REMEDY = ("install a C compiler and Python's headers (Debian: apt-get install gcc python3-dev); a GPU older "
                     "than NVIDIA's Volta has no kernels: nothing to do, the CPU serves")


def of_torch() -> list[Finding]:
    return [_torch(), _gpu()]


def of_engines() -> list[Finding]:
    return [_cpu_engine(), _serving("cpu"), *([_serving("cuda")] if torch.cuda.is_available() else [])]


def _torch() -> Finding:
    return Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads"
                   + (" (OMP_NUM_THREADS says so)" if "OMP_NUM_THREADS" in os.environ else ""))


def _gpu() -> Finding:
    version = driver.version()
    words = f"NVIDIA driver {version}" if version else "no NVIDIA driver"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        fact = f"{names}; {words}, CUDA {torch.version.cuda}, "
        serves, why_not = kernels_in_triton()
        if tiny_cuda_nn()[0]:
            return Finding("GPU", "ok", f"{fact}with tinycudann")
        if serves:
            return Finding("GPU", "ok", f"{fact}our kernels, by Triton")
        return Finding("GPU", "missing", f"{fact}{why_not} (plain torch could serve, many times slower)",
                       NO_KERNELS_REMEDY)
    if torch.version.cuda is None:
        return Finding("GPU", "missing", f"this torch is a build without CUDA; there is {words}",
                       "for an NVIDIA GPU install a torch for its CUDA (requirements-torch.txt); else nothing to do")
    return Finding("GPU", "missing", f"torch is built for CUDA {torch.version.cuda}, and sees no GPU; there is {words}",
                   "is the driver too old, or CUDA_VISIBLE_DEVICES empty?" if version
                   else "for an NVIDIA GPU install its driver; without one the CPU serves")


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
    return Finding(name, "ok" if serves != "torch" or choice == "torch" else "missing",
                   f"{serves}, {why}")
