"""How an end is told: the event, the cause, the hint, the last lines of output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.jobs.attempt_files import output_tail, shim_complaint
from adaptive_nerf.jobs.job_folder import attempt_folder, job_folder, read_failure
from adaptive_nerf.jobs.records import Draft, Job
from adaptive_nerf.jobs.retries import Verdict
from adaptive_nerf.jobs.states import Reason, State

TAIL_BYTES, TAIL_LINES = 16_384, 20
NAMES = {State.SUCCEEDED: "succeeded", State.FAILED: "failed", State.CANCELLED: "cancelled", State.RETRY_WAIT: "retry"}
HINTS = {
    Reason.BAD_SPEC: "correct the message and send it again",
    Reason.BAD_DATA: "correct the message and send it again; or correct the data, then: ./scripts/jobs.py retry JOB",
    Reason.RESOURCE_TAKEN: "free the port or the device",
    Reason.OUT_OF_MEMORY: "lower chunk_points, samples or downscale",
    Reason.BROKEN_INSTALLATION: "look at the output; scripts/doctor.py tells what is missing",
    Reason.HUNG: "its progress stood still for hang_timeout_s; 0 switches this off",
    Reason.TIMEOUT: "give a longer timeout_s",
    Reason.LOST: "its process ended without a word, as after a power cut",
}


@dataclass(frozen=True)
class Facts:
    cause: str
    hint: str
    log_tail: str

    @property
    def detail(self) -> str:
        return self.cause


def ending_facts(job: Job, verdict: Verdict, why: str, logs: Path) -> Facts:
    if verdict.state in (State.SUCCEEDED, State.CANCELLED):
        return Facts("", "", "")
    cause, hint = read_failure(job_folder(logs, job.job_id))
    attempt = attempt_folder(logs, job.job_id, job.attempt)
    tail = output_tail(attempt, TAIL_BYTES).splitlines()[-TAIL_LINES:]
    if verdict.reason is Reason.LOST:
        tail += shim_complaint(attempt).splitlines()[-TAIL_LINES:]  # what broke the process that should have told
    return Facts(why or cause or verdict.detail, hint or HINTS.get(verdict.reason, ""), "\n".join(tail))


def ending_drafts(verdict: Verdict, facts: Facts) -> list[Draft]:
    name = NAMES[verdict.state]
    if verdict.state in (State.SUCCEEDED, State.CANCELLED):
        return [Draft(name)]
    fields = {"cause": facts.cause, "hint": facts.hint, "log_tail": facts.log_tail}
    return [Draft(name, fields | ({"retry_in_s": round(verdict.delay_s, 1)} if name == "retry" else {}))]
