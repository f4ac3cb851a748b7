"""What a job's folder tells the mediator: how far it is, what came out, why it failed. All of it may be absent.

The runner is another program, and what it writes is checked: a field of a wrong kind is left out, never believed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptive_nerf.common.run_progress import without_token

LARGEST_BYTES = 1 << 20
OF_ONE_ATTEMPT = ("failure.json", "result.json", "progress.json", "viewer_url")  # the next one begins without them


def job_folder(logs: Path, job_id: str) -> Path:
    return logs / job_id


def attempt_folder(logs: Path, job_id: str, attempt: int) -> Path:
    return logs / job_id / "attempts" / str(attempt)


@dataclass(frozen=True)
class Progress:
    shown: Mapping[str, Any]  # step, of, eta_s, metrics
    warnings: tuple[str, ...]
    url: str


def read_progress(folder: Path) -> Progress | None:
    found = _read(folder / "progress.json")
    if found is None:
        return None
    shown = {name: found[name] for name in ("step", "of", "eta_s") if _number(found.get(name))}
    metrics = found.get("metrics")
    if isinstance(metrics, dict):
        shown["metrics"] = {str(name): value for name, value in metrics.items() if _number(value)}
    warnings, url = found.get("warnings"), found.get("url")
    return Progress(shown, tuple(map(str, warnings)) if isinstance(warnings, list) else (),
                    without_token(url) if isinstance(url, str) else "")


def read_result(folder: Path) -> Mapping[str, Any] | None:
    found = _read(folder / "result.json")
    return None if found is None else {name: found[name] for name in ("artifacts", "metrics") if name in found}


def read_failure(folder: Path) -> tuple[str, str]:
    """(cause, hint) as the runner tells them."""
    found = _read(folder / "failure.json") or {}
    return str(found.get("cause", "")), str(found.get("hint", ""))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
