"""What a start finds of former lives, in this order: adopt what runs, settle what ended, sweep strays.

Slots are free again by themselves, since they belong to live jobs; only then are events sent and messages taken.
"""

from __future__ import annotations

import logging

from adaptive_nerf.common.clock import Now
from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.jobs.attempt_files import Ended
from adaptive_nerf.jobs.executors import Executor, Handle
from adaptive_nerf.jobs.job_folder import attempt_folder
from adaptive_nerf.jobs.records import Job
from adaptive_nerf.jobs.settings import Settings
from adaptive_nerf.jobs.states import LIVE
from adaptive_nerf.jobs.store import Store
from adaptive_nerf.jobs.supervisor import Supervisor

log = logging.getLogger(__name__)


def recover(store: Store, executor: Executor, supervisor: Supervisor, settings: Settings, now: Now) -> None:
    dead: list[tuple[Job, Ended | None]] = []
    for job in store.jobs(LIVE):
        found = executor.find(attempt_folder(settings.logs, job.job_id, job.attempt), job.nonce)
        if isinstance(found, Handle):
            supervisor.adopt(job, found, now)
        else:
            dead.append((job, found))
        failpoint("in_recovery")
    swept = executor.sweep({job.nonce for job, _ in dead})
    for job, ended in dead:
        supervisor.settle_dead(job, ended)
    if supervisor.live or dead:
        log.info("taken back: %d running jobs; settled: %d that ended meanwhile; %d stray processes ended",
                 len(supervisor.live), len(dead), swept)
