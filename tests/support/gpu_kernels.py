"""The kernels for CUDA where there is none: Triton's interpreter runs them on the CPU, many times slower."""

import importlib
import os

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def kernels(name):
    """adaptive_nerf.engine.gpu.<name>; Triton asks how it is to run when a kernel is defined."""
    if DEVICE == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"
    return importlib.import_module(f"adaptive_nerf.engine.gpu.{name}")
