"""The mediator's jobs as a list for people. Everything in it came from messages and files, so all of it is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from adaptive_nerf.common.durations import duration
from adaptive_nerf.viewer.markup import Light, block, dot, safe
from adaptive_nerf.viewer.plain_words import counted

MOST_ROWS = 25
STATE_WORDS = {
    "ACCEPTED": (Light.OFF, "waiting"), "QUEUED": (Light.OFF, "waiting"), "STARTING": (Light.BUSY, "starting"),
    "RUNNING": (Light.BUSY, "running"), "STOPPING": (Light.CARE, "stopping"),
    "RETRY_WAIT": (Light.CARE, "will try again"), "SUCCEEDED": (Light.GOOD, "done"), "FAILED": (Light.BAD, "failed"),
    "CANCELLED": (Light.OFF, "cancelled"), "REJECTED": (Light.BAD, "refused")}
REASON_TOLD = {"FAILED", "RETRY_WAIT", "REJECTED"}


def jobs_html(jobs: Sequence[Mapping[str, Any]]) -> str:
    """The newest job first."""
    if not jobs:
        return block("There are no jobs yet.")
    hidden = len(jobs) - MOST_ROWS
    rows = "".join(_row(job) for job in list(reversed(jobs))[:MOST_ROWS])
    return block(rows + (f"and {counted(hidden, 'older job')}" if hidden > 0 else ""))


def _row(job: Mapping[str, Any]) -> str:
    state, reason = str(job.get("state", "?")), job.get("reason")
    light, told = STATE_WORDS.get(state) or (Light.OFF, safe(state.lower(), 20))
    if reason and state in REASON_TOLD:
        told += f": {safe(str(reason).replace('_', ' '), 40)}"
    return (f'<div style="padding:4px 0;border-bottom:1px solid #ddd"><b>{safe(job.get("job_id", "?"), 60)}</b> '
            f'({safe(job.get("op", "?"), 20)})<br>{dot(light)} {told}{_progress(job)}</div>')


def _progress(job: Mapping[str, Any]) -> str:
    progress = job.get("progress")
    if not isinstance(progress, Mapping) or job.get("state") != "RUNNING" or job.get("op") == "view":
        return _since(job)  # a page has no steps, it is open
    share, step, of, eta_s = (_number(progress.get(key)) for key in ("share", "step", "of", "eta_s"))
    told = [f"step {step:.0f}" + (f" of {of:.0f}" if of else "")] if step is not None else []
    told += [f"{duration(eta_s)} to go"] if eta_s is not None else []
    words = "".join(f", {part}" for part in told) or _since(job)
    return words + (_bar(share) if share is not None else "")


def _bar(share: float) -> str:
    percent = round(min(max(share, 0), 1) * 100)
    return (f'<div style="height:6px;background:#ddd;border-radius:3px" title="{percent} %"><div style="height:6px;'
            f'border-radius:3px;width:{percent}%;background:{Light.BUSY.value}"></div></div>')


def _since(job: Mapping[str, Any]) -> str:
    running_s, age_s = _number(job.get("running_s")), _number(job.get("age_s"))
    if running_s is not None:
        return f", for {duration(running_s)}"
    return f", sent {duration(age_s)} ago" if age_s is not None else ""


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
