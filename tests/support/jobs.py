"""Jobs of real messages in a real store, brought to the state that a test wants."""

import json
from pathlib import Path
from typing import Any

from adaptive_nerf.jobs.judgement import new_job
from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.jobs.records import Draft, Job
from adaptive_nerf.jobs.states import State
from adaptive_nerf.jobs.store import Store
from tests.support.stores import queued


def add(store: Store, job_id: str, **fields: Any) -> Job:
    """A queued job, through the same doors as any other."""
    read = job_of({"op": "train", "data_path": "data/town", "job_id": job_id, **fields})
    queued(store, new_job(read.job, read.canonical, job_id, read.warnings))
    return now(store, job_id)


def run(store: Store, job_id: str, slots: tuple[str, ...] = ("cpu-0",), **told: Any) -> Job:
    """A running job that has told its progress."""
    starting = store.begin_attempt(now(store, job_id), slots, "nonce")
    assert starting is not None
    running = store.move(starting, State.RUNNING, Draft("started"))
    assert running is not None
    if told:
        store.tell(running, Draft("progress"), **told)
    return now(store, job_id)


def end(store: Store, job_id: str, state: State, *drafts: Draft, **changes: Any) -> Job:
    ended = store.move(now(store, job_id), state, *(drafts or [Draft(state.lower())]), **changes)
    assert ended is not None
    return ended


def now(store: Store, job_id: str) -> Job:
    job = store.job(job_id)
    assert job is not None, job_id
    return job


def write_url(logs: Path, job_id: str, url: str) -> None:
    folder = logs / job_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "viewer_url").write_text(url)


def as_told(answer: Any) -> Any:
    """As it looks at the other end of a socket."""
    return json.loads(json.dumps(answer))
