"""A store in a test: a clock that stands still, messages, and jobs brought to a state of their life."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adaptive_nerf.common.clock import Now
from adaptive_nerf.jobs.records import Arrival, Draft, Job, NewJob, Rejected, Source
from adaptive_nerf.jobs.states import State
from adaptive_nerf.jobs.store import Store

SOURCE = Source("cluster", "incarnation", 0)
LOGS = "/logs"


@dataclass
class Clock:
    """Goes on only when told to."""

    wall_s: float = 1_800_000_000.0
    steady_s: float = 1000.0

    def __call__(self) -> Now:
        return Now(self.wall_s, self.steady_s)


def new_job(job_id: str = "a", says: str = "one", **fields: Any) -> NewJob:
    return NewJob(job_id, "train", json.dumps({"job_id": job_id, "dataset": says}), **fields)


def rejected(job_id: str | None = None, code: str = "bad_spec") -> Rejected:
    return Rejected(code, ({"field": "/gpus", "message": "is no number", "hint": "give 0 to 64"},), job_id)


def arrival(offset: int, verdict: NewJob | Rejected | None = None, source: Source = SOURCE) -> Arrival:
    return Arrival(source, offset, f"bytes {offset}".encode(), verdict or new_job(f"job-{offset}"), "nerfConfigs")


def queued(store: Store, *jobs: NewJob | str) -> list[Job]:
    """The jobs, taken in from where the log is now, and released."""
    found = [new_job(job) if isinstance(job, str) else job for job in jobs]
    start = int(store.fact("test log end") or 0)
    store.set_fact("test log end", str(start + len(found)))
    store.take_in([arrival(offset, job) for offset, job in enumerate(found, start)], LOGS)
    store.release(SOURCE, start + len(found))
    return [store.job(job.job_id) for job in found]


def brought_to(store: Store, state: State, job_id: str = "a", **fields: Any) -> Job:
    """A job that has come to `state` by the shortest way."""
    if state is State.ACCEPTED:
        store.take_in([arrival(10_000, new_job(job_id, **fields))], LOGS)
        return store.job(job_id)
    job, = queued(store, new_job(job_id, **fields))
    if state is State.QUEUED:
        return job
    job = store.begin_attempt(job, ("cpu-0",), "nonce-1")
    if state is not State.STARTING:
        job = store.move(job, State.RUNNING, Draft("started"))
    return job if state in (State.STARTING, State.RUNNING) else store.move(job, state, Draft(state.lower()))


def events(store: Store) -> list[dict[str, Any]]:
    """All events that wait to be published, in order."""
    return [json.loads(record.value) for record in store.unpublished(100_000) if record.stream == "events"]


def told(store: Store, job_id: str) -> list[str]:
    """Names of what was told of a job, in order; the numbers are checked on the way."""
    history = store.history(job_id)
    assert [event["seq"] for event in history] == list(range(1, len(history) + 1))
    return [event["event"] for event in history]


def names(jobs: Sequence[Job]) -> list[str]:
    return [job.job_id for job in jobs]
