"""A message's bytes -> a new job or a rejection. Pure; everything that a sender can write ends in one of the two."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from adaptive_nerf.jobs.fields import JOB_ID, Envelope
from adaptive_nerf.jobs.message import BadMessage, job_of, parse
from adaptive_nerf.jobs.paths import Roots, refused_paths
from adaptive_nerf.jobs.records import NewJob, Rejected

HANG_TIMEOUT_S = 900.0
LIGHT_OPERATIONS = {"view"}  # long-lived and light: they never take a slot of the others


def judge(value: bytes, derived_id: str, roots: Roots) -> NewJob | Rejected:
    """`derived_id` names a job that has no name of its own; the same place in the log always gives the same."""
    sent: dict[str, Any] = {}
    try:
        sent = parse(value)
        read = job_of(sent)
        refused = refused_paths(read.job, roots)
        if refused:
            raise BadMessage("path_outside", refused)
    except BadMessage as error:
        return Rejected(error.code, tuple(asdict(item) for item in error.errors), _proper_id(sent.get("job_id")))
    return new_job(read.job, read.canonical, derived_id, read.warnings)


def new_job(job: Envelope, canonical: str, derived_id: str, warnings: tuple[str, ...] = ()) -> NewJob:
    op = str(vars(job)["op"])  # every model has one, only the bare envelope has none
    light = op in LIGHT_OPERATIONS
    hang_timeout_s = (0.0 if light else HANG_TIMEOUT_S) if job.hang_timeout_s is None else job.hang_timeout_s
    return NewJob(
        job_id=job.job_id or derived_id, op=op, canonical=canonical, priority=job.priority, gpus=job.gpus,
        timeout_s=job.timeout_s, hang_timeout_s=hang_timeout_s, max_attempts=job.max_attempts, light=light,
        stay=bool(vars(job).get("stay", False)), warnings=warnings)


def _proper_id(name: object) -> str | None:
    """The job_id that a bad message gives itself, so that its sender recognises the answer."""
    return name if isinstance(name, str) and re.fullmatch(JOB_ID, name) else None
