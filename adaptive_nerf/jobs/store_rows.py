"""A job <-> its row. Nothing that a runner or a sender wrote can make a write fail."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from adaptive_nerf.jobs.records import Job
from adaptive_nerf.jobs.states import Reason, State

FIELDS = [field.name for field in fields(Job)]
IDENTITY = {"number", "job_id", "op", "canonical", "priority", "gpus", "timeout_s", "hang_timeout_s", "max_attempts",
            "light", "stay", "accepted_at"}
CHANGING = [name for name in FIELDS if name not in IDENTITY]
SELECT = f"SELECT {', '.join(FIELDS)} FROM jobs "


_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def as_json(value: Any) -> str:
    """Always JSON: a number that is none becomes null."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_finite(value))


def clean(text: str) -> str:
    """Halves of surrogate pairs, which JSON can bring in, fit into no database."""
    return text.encode(errors="replace").decode()


def job_of(row: Sequence[Any]) -> Job:
    found = dict(zip(FIELDS, row, strict=True))
    for name in ("light", "stay", "cancel_asked"):
        found[name] = bool(found[name])
    for name in ("slots", "faults", "progress", "result"):
        found[name] = json.loads(found[name]) if found[name] else None
    found["state"], found["slots"] = State(found["state"]), tuple(found["slots"])
    found["reason"] = Reason(found["reason"]) if found["reason"] else None
    return Job(**found)


def select(database: sqlite3.Connection, where: str, values: Sequence[Any] = ()) -> list[Job]:
    return [job_of(row) for row in database.execute(SELECT + where, values)]


def in_states(states: Collection[State]) -> str:
    return f"state IN ({', '.join(repr(state.value) for state in states)})"


def by_number(database: sqlite3.Connection, number: int) -> Job | None:
    return next(iter(select(database, "WHERE number = ?", (number,))), None)


def by_id(database: sqlite3.Connection, job_id: str) -> Job | None:
    return next(iter(select(database, "WHERE job_id = ?", (clean(job_id),))), None)


def write(database: sqlite3.Connection, before: Job, after: Job) -> None:
    changed = [name for name in CHANGING if getattr(before, name) != getattr(after, name)]
    if changed:
        database.execute(f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in changed)} WHERE number = ?",
                         [_stored(getattr(after, name)) for name in changed] + [after.number])


def _stored(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    return as_json(value) if isinstance(value, Mapping | tuple) else value


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
