"""The folder of one attempt, `logs/<job_id>/attempts/<n>/`: what it is asked, how it began and ended, what it printed.

    order.json     before the spawn: what to run            lock     held by the shim for as long as it lives
    started.json   by the shim: who runs                    output/  what the runner printed, bounded
    exit.json      by the shim, as its last act
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from adaptive_nerf.common.atomic_files import write_bytes
from adaptive_nerf.common.errors import BadData

T = TypeVar("T", "Started", "Ended")
VERSION = 1
NONCE_NAME = "ADAPTIVE_NERF_NONCE"
ORDER, LOCK, STARTED, EXIT, OUTPUT = "order.json", "lock", "started.json", "exit.json", "output"

PASSED_ON = {"CC", "CXX", "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYTHONPATH",
             "PYTHONUNBUFFERED", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME"}
PASSED_ON_PREFIXES = ("ADAPTIVE_NERF_", "CUDA_", "KMP_", "LC_", "MKL_", "NVIDIA_", "OMP_", "OPENBLAS_", "PYTORCH_",
                      "TORCH_", "TRITON_")
NEVER_PASSED_ON = ("CREDENTIAL", "KAFKA", "KEY", "PASSWD", "PASSWORD", "SECRET", "TOKEN")
MEDIATORS_OWN = {NONCE_NAME, "ADAPTIVE_NERF_FAILPOINT"}


@dataclass(frozen=True)
class Order:
    """What to run, and where. `env` is the whole environment of the runner, but for the nonce."""

    job_id: str
    attempt: int
    nonce: str
    folder: Path
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    grace_s: float


@dataclass(frozen=True)
class Started:
    boot_id: str
    shim_pid: int
    shim_start_ticks: int
    runner_pid: int
    runner_start_ticks: int


@dataclass(frozen=True)
class Ended:
    code: int | None
    signal: int | None
    spawn_error: str | None
    oom_kills: int
    strays_killed: int

    @classmethod
    def never(cls, error: str) -> Ended:
        """Of an attempt that could not even begin."""
        return cls(code=None, signal=None, spawn_error=error, oom_kills=0, strays_killed=0)


def runner_environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """What a runner gets of the mediator's environment: a list of what it may have, and nothing that looks secret."""
    kept = {name: value for name, value in base.items() if _may_pass(name)}
    return {**kept, **extra}


def _may_pass(name: str) -> bool:
    listed = name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    return listed and name not in MEDIATORS_OWN and not any(word in name.upper() for word in NEVER_PASSED_ON)


def write_order(order: Order) -> None:
    """Needs no fsync: no attempt outlives a power cut."""
    content = {"v": VERSION, "job_id": order.job_id, "attempt": order.attempt, "nonce": order.nonce,
               "argv": list(order.argv), "env": {**order.env, NONCE_NAME: order.nonce}, "cwd": str(order.cwd),
               "grace_s": order.grace_s}
    write_bytes(order.folder / ORDER, json.dumps(content, indent=2).encode() + b"\n", durable=False)


def read_started(folder: Path, nonce: str) -> Started | None:
    return _read(folder / STARTED, nonce, Started)


def read_ended(folder: Path, nonce: str) -> Ended | None:
    return _read(folder / EXIT, nonce, Ended)


def _read(path: Path, nonce: str, record: type[T]) -> T | None:
    """The record, or None: not there, of another attempt, or damaged, which all tell us nothing."""
    try:
        content: Any = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("nonce") != nonce:
        return None
    if content.get("v") != VERSION:
        raise BadData(path, f"has format {content.get('v')}, and this version reads format {VERSION}; "
                            f"run the newer version again")
    try:
        return record(**{field.name: content[field.name] for field in fields(record)})
    except KeyError:
        return None


def output_files(folder: Path) -> list[Path]:
    """What the runner printed: the beginning, and the latest, in the order in which it was printed."""
    return sorted((folder / OUTPUT).glob("*.txt"))  # "head" stands before "tail" in the alphabet too


def output_tail(folder: Path, most_bytes: int) -> str:
    """The last of what the runner printed, as text."""
    parts: list[bytes] = []
    for path in reversed(output_files(folder)):
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - most_bytes))
            parts.insert(0, stream.read(most_bytes))
        most_bytes -= len(parts[0])
        if most_bytes <= 0:
            break
    return b"".join(parts).decode(errors="replace")


def shim_complaint(folder: Path) -> str:
    """What the shim could not tell otherwise, or the interpreter about it; empty when all was well."""
    try:
        return (folder / LOCK).read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
