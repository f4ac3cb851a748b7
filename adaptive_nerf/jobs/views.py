"""Jobs as plain dicts for JSON: what the socket and HTTP tell of them, and the verbs that people have.

A viewer's address is told without its token; the whole one stands in logs/<job_id>/viewer_url, for the owner alone, and
only `show` on the socket reads it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptive_nerf.common.clock import Now, now
from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.common.run_progress import without_token
from adaptive_nerf.jobs.fields import JOB_ID, JOB_ID_IN_WORDS
from adaptive_nerf.jobs.records import Job
from adaptive_nerf.jobs.states import LIVE, TERMINAL, State

if TYPE_CHECKING:
    from adaptive_nerf.jobs.store import Store

MOST_LISTED, LONGEST_ADDRESS = 1000, 4096
NEAR_AMONG = 2000  # of the newest jobs; a slip of the finger concerns one of these


class UnknownJob(BadInput):
    def __init__(self, job_id: str, near: list[str]):
        hint = f"did you mean {' or '.join(near)}?" if near else "./scripts/jobs.py list tells all"
        super().__init__(f"no job is called {job_id[:80]!r}; {hint}")


def summary(job: Job, at: Now) -> dict[str, Any]:
    """One line of a list."""
    waits = job.state is State.RETRY_WAIT
    runs_s = at.steady_s - job.started_steady_s if job.state in LIVE else None
    return {
        "job_id": job.job_id, "op": job.op, "state": job.state, "reason": job.reason, "code": job.code,
        "detail": job.detail, "attempt": job.attempt, "max_attempts": job.max_attempts, "priority": job.priority,
        "gpus": job.gpus, "device": list(job.slots), "progress": _progress(job), "url": without_token(job.url),
        "cancel_asked": job.cancel_asked, "accepted_at": _iso(job.accepted_at), "changed_at": _iso(job.changed_at),
        "age_s": round(max(0.0, at.wall_s - job.accepted_at), 1),
        "running_s": None if runs_s is None else round(max(0.0, runs_s), 1),
        "retry_in_s": round(max(0.0, job.not_before_steady_s - at.steady_s), 1) if waits else None}


def details(store: Store, job: Job, at: Now) -> dict[str, Any]:
    """Everything that anybody may know of a job."""
    sent: dict[str, Any] = json.loads(job.canonical)
    return summary(job, at) | {"spec": sent, "timeout_s": job.timeout_s, "hang_timeout_s": job.hang_timeout_s,
                               "result": job.result, "faults": dict(job.faults), "history": store.history(job.job_id)}


def find(store: Store, job_id: str) -> Job:
    job = store.job(job_id)
    if job is None:
        raise UnknownJob(job_id, near(store, job_id))
    return job


def near(store: Store, job_id: str) -> list[str]:
    names = [job.job_id for job in store.jobs(limit=NEAR_AMONG, newest_first=True)]
    return difflib.get_close_matches(job_id[:80], names, 2, 0.6)


def listed(store: Store, states: list[State] | None, limit: int, at: Now) -> dict[str, Any]:
    """The newest jobs, oldest of them first, and how many there are of each state."""
    jobs = store.jobs(states, limit=limit, newest_first=True)
    return {"jobs": [summary(job, at) for job in reversed(jobs)], "counts": dict(store.counts())}


def states_of(names: list[str]) -> list[State] | None:
    unknown = [name for name in names if name.upper() not in State.__members__]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is no state; give some of {', '.join(State)}")
    return [State(name.upper()) for name in names] or None


def limit_of(limit: object) -> int:
    if isinstance(limit, str) and limit.isascii() and limit.isdigit() and len(limit) < 10:
        limit = int(limit)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST_LISTED:
        raise BadInput(f"limit (--last) is no number from 1 to {MOST_LISTED}")
    return limit


class Desk:
    """Answers the requests of the socket: {"verb": "list" | "show" | "cancel" | "retry" | "status", ...}.

    `status` tells of the service itself, `starts_nothing` why no job is started now, if so; `woken` is called when
    something may now start, stop or be published.
    """

    def __init__(self, store: Store, logs: Path, status: Callable[[], Mapping[str, Any]],
                 starts_nothing: Callable[[], str], woken: Callable[[], None]):
        self._store, self._logs, self._woken = store, logs, woken
        self._status, self._starts_nothing = status, starts_nothing
        self._verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "list": self._list, "show": self._show, "cancel": self._cancel, "retry": self._retry,
            "status": self._tell_status}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        verb = request.get("verb")
        if not isinstance(verb, str) or verb not in self._verbs:
            raise BadInput(f"verb is none of {', '.join(self._verbs)}")
        return self._verbs[verb](request)

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        names = request.get("states") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadInput("states is no list of names")
        return listed(self._store, states_of(names), limit_of(request.get("limit", 50)), now())

    def _show(self, request: dict[str, Any]) -> dict[str, Any]:
        job = find(self._store, _job_id(request))
        folder = self._logs / job.job_id
        held_back = self._starts_nothing() if job.state is State.QUEUED else ""
        return details(self._store, job, now()) | {"log_dir": str(folder.absolute()), "held_back": held_back,
                                                   "viewer_url": _viewer_url(folder) if job.state in LIVE else None}

    def _cancel(self, request: dict[str, Any]) -> dict[str, Any]:
        job_id = _job_id(request)
        if not re.fullmatch(JOB_ID, job_id):  # else it is kept for a job that can never come
            raise BadInput(f"{job_id[:80]!r} is no name of a job; give {JOB_ID_IN_WORDS}")
        before = self._store.job(job_id)
        job = self._store.ask_cancel(job_id)
        self._woken()
        if job is None:
            return {"job_id": job_id, "state": None, "near": near(self._store, job_id),
                    "told": f"no job is called {job_id!r} yet; if one arrives, it is cancelled at once (for a day, or "
                            f"until ./scripts/jobs.py retry {job_id} takes that back)"}
        if before is not None and before.state in TERMINAL:
            return {"job_id": job_id, "state": job.state, "told": f"{job_id} has ended already: {job.state}"}
        told = {State.CANCELLED: "is cancelled", State.ACCEPTED: "will not start"}.get(job.state, "is being stopped")
        return {"job_id": job_id, "state": job.state, "told": f"{job_id} {told}"}

    def _retry(self, request: dict[str, Any]) -> dict[str, Any]:
        job_id = _job_id(request)
        if self._store.withdraw_cancel(job_id):
            return {"job_id": job_id, "state": None, "told": f"{job_id} is not cancelled any more when it comes"}
        asked = find(self._store, job_id)
        job = self._store.ask_retry(asked.job_id)
        self._woken()
        if job is None:
            raise UnknownJob(asked.job_id, near(self._store, asked.job_id))
        if job.job_id != asked.job_id and (job.attempt or job.state is not State.QUEUED):
            told = f"{asked.job_id} has ended ({asked.state}), and {job.job_id}, which does the same, is {job.state}"
        elif job.job_id != asked.job_id:
            told = f"{asked.job_id} has ended ({asked.state}), so a new job does the same: {job.job_id}"
        elif asked.state is State.RETRY_WAIT:
            told = f"{job.job_id} waits no longer; it runs as soon as a device is free"
        else:
            told = f"{job.job_id} is {asked.state}; nothing to retry"
        return {"job_id": job.job_id, "state": job.state, "told": told}

    def _tell_status(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"counts": dict(self._store.counts()), "backlog": self._store.backlog(),
                "outbox": self._store.outbox_size(), **self._status()}


def _job_id(request: dict[str, Any]) -> str:
    job_id = request.get("job_id")
    if not isinstance(job_id, str) or not job_id:
        raise BadInput("job_id is missing")
    return job_id


def _progress(job: Job) -> dict[str, Any] | None:
    """As the runner told it, with a share from 0 to 1 where it can be told."""
    if job.progress is None:
        return None
    step, of = job.progress.get("step"), job.progress.get("of")
    share = None
    if isinstance(step, int | float) and isinstance(of, int | float) and of > 0:
        share = min(1.0, max(0.0, step / of))
    return {**job.progress, "url": without_token(str(job.progress.get("url") or "")), "share": share}


def _viewer_url(folder: Path) -> str | None:
    try:
        with (folder / "viewer_url").open(encoding="utf-8") as stream:
            return stream.read(LONGEST_ADDRESS).strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _iso(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds")
