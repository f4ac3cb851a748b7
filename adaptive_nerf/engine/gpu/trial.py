"""Whether kernels can be compiled and run here: one small one is."""

import subprocess
import sysconfig
from pathlib import Path

import torch
import triton

from adaptive_nerf.engine.gpu import encoding
from adaptive_nerf.engine.hash_grid import HashGrid

TRIED = HashGrid(levels=2, features=2, log2_size=4, base=2, finest=4)


def why_not() -> str:
    """Empty where they can."""
    if not torch.cuda.is_available():
        return "torch sees no GPU"
    try:
        tables = torch.ones(1, TRIED.rows, TRIED.features, device="cuda")
        place = torch.full((1, 3), 0.5, device="cuda")
        features = encoding.encode(tables, place, torch.zeros(1, dtype=torch.int32, device="cuda"), TRIED)
        return "" if bool((features - 1).abs().max() < 1e-5) else "Triton's kernels compute something else here"
    except (RuntimeError, OSError, subprocess.SubprocessError, triton.TritonError) as error:
        return f"Triton's kernels cannot be compiled here ({_headers_missing() or _first_line(error)})"


def _headers_missing() -> str:
    """Triton's launchers are in C and include Python.h; the compiler's own words of that are lost on the way."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if header.is_file() else f"{header} is missing"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
