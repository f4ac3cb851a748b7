"""From a queued job to its process: the folder, job.json, the environment, the order to the executor.

The command line comes from here alone; nothing of a message ever gets into it.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

from adaptive_nerf.jobs import job_file
from adaptive_nerf.jobs.attempt_files import Order, runner_environment
from adaptive_nerf.jobs.job_folder import OF_ONE_ATTEMPT, attempt_folder, job_folder
from adaptive_nerf.jobs.paths import ROOTS_VARIABLE
from adaptive_nerf.jobs.records import Job
from adaptive_nerf.jobs.scheduling import Placement
from adaptive_nerf.jobs.settings import Settings


def new_nonce() -> str:
    return secrets.token_hex(16)


def prepare(job: Job, placement: Placement, settings: Settings) -> Order:
    """Everything on disk that the runner reads; `job` is the STARTING one, its attempt counted."""
    folder = job_folder(settings.logs, job.job_id)
    folder.mkdir(parents=True, exist_ok=True)
    job_file.create(folder / job_file.NAME, job.job_id, json.loads(job.canonical))
    for name in OF_ONE_ATTEMPT:
        (folder / name).unlink(missing_ok=True)
    argv = (sys.executable, "-P", str(settings.runner), "--configPath", str(folder / job_file.NAME), "--out",
            str(folder))
    return Order(job.job_id, job.attempt, job.nonce, attempt_folder(settings.logs, job.job_id, job.attempt), argv,
                 environment(placement, settings), settings.roots.start, settings.grace_s)


def environment(placement: Placement, settings: Settings) -> dict[str, str]:
    visible = ",".join(slot.visible for slot in placement.slots if slot.visible)
    extra = {ROOTS_VARIABLE: settings.roots.environment(), "CUDA_VISIBLE_DEVICES": visible, "PYTHONUNBUFFERED": "1"}
    if settings.http:
        extra["ADAPTIVE_NERF_HTTP"] = f"http://{settings.http}"
    return runner_environment(os.environ, extra)


def default_runner() -> Path:
    return Path(__file__).resolve().parent.parent / "nerf_runner.py"
