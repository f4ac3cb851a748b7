"""What a start finds of former lives: what runs is adopted, what ended is settled and its strays are ended.

Slots are free again by themselves, since they belong to live jobs; only then are events sent and messages taken.
"""

from __future__ import annotations

import logging

from adaptive_nerf.common.clock import Now
from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.jobs.executors import Executor, Handle
from adaptive_nerf.jobs.job_folder import attempt_folder
from adaptive_nerf.jobs.settings import Settings
from adaptive_nerf.jobs.states import LIVE
from adaptive_nerf.jobs.store import Store
from adaptive_nerf.jobs.supervisor import Supervisor

log = logging.getLogger(__name__)


def recover(store: Store, executor: Executor, supervisor: Supervisor, settings: Settings, now: Now) -> None:
    dead = 0
    for job in store.jobs(LIVE):
        if job.job_id in supervisor.live:  # a full disk broke off the round before
            continue
        found = executor.find(attempt_folder(settings.logs, job.job_id, job.attempt), job.nonce)
        if isinstance(found, Handle):
            supervisor.adopt(job, found, now)
        else:
            supervisor.bury(job)
            dead += 1
        failpoint("in_recovery")
    if supervisor.live or dead:
        log.info("taken back: %d running jobs; settled: %d that had ended", len(supervisor.live), dead)
