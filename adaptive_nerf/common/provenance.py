"""What a result depended on besides its job: the code's commit, versions, the machine, the devices."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pynvml  # type: ignore[import-untyped]

from adaptive_nerf.common.cores import usable_cores

CLONE = Path(__file__).resolve().parents[2]
LIBRARIES = ("adaptive-nerf", "torch", "numpy", "pydantic")
GIT_PATIENCE_S = 5.0


def provenance() -> dict[str, Any]:
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit(), "versions": versions(),
            "machine": machine(), "device": {"visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "gpus": gpus()}}


def commit() -> str | None:
    """Of this clone, with "-dirty" where files were changed since; None where it is no clone."""
    try:
        told = subprocess.run(
            ["git", "-C", str(CLONE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=GIT_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


def versions() -> dict[str, str | None]:
    return {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    cpu = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
           if line.startswith("model name")]
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {"host": platform.node(), "cpu": cpu[0] if cpu else platform.machine(),
            "cores": usable_cores(), "memory_gib": round(memory_kib / 2**20, 1),
            "system": platform.platform()}


def gpus() -> list[str]:
    """Models of the machine's GPUs, visible to the job or not; empty without a driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index)))
                for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()
