"""A job as a plain record, for rules that need no store."""

import itertools
from typing import Any

from adaptive_nerf.jobs.records import Job
from adaptive_nerf.jobs.states import State

_numbers = itertools.count(1)
DEFAULTS: dict[str, Any] = {
    "op": "train", "canonical": "{}", "priority": 5, "gpus": 1, "timeout_s": 0.0, "hang_timeout_s": 0.0,
    "max_attempts": None, "light": False, "stay": False, "state": State.QUEUED, "reason": None, "code": None,
    "attempt": 0, "slots": (), "nonce": "", "faults": {}, "accepted_at": 0.0, "changed_at": 0.0,
    "started_steady_s": 0.0, "not_before_steady_s": 0.0, "cancel_asked": False, "progress": None, "url": "",
    "detail": "", "result": None}


def make_job(**fields: Any) -> Job:
    """A waiting job, younger than all that were made before."""
    number = fields.pop("number", None) or next(_numbers)
    return Job(**{"number": number, "job_id": f"job-{number}", **DEFAULTS, **fields})
