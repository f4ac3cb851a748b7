"""What an attempt's end means for its job: done, over, or once more and when. Pure; one table of rules.

    infrastructure   lost, not started, stopped by others        5 more attempts
    own              a fault of the job itself, a signal, hung    1
    memory           no memory left, on the GPU or the host       1
    taken            a port or device is in use                   as often as it takes
    bad input, a broken installation, a time limit                none

`max_attempts` of the job bounds all of them.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from adaptive_nerf.jobs.attempt_files import Ended
from adaptive_nerf.jobs.records import Job
from adaptive_nerf.jobs.states import REASONS, Exit, Reason, State

BASE_S, LONGEST_S, LONGEST_TAKEN_S = 10.0, 600.0, 300.0
MOST_DOUBLINGS = 20


class Kind(StrEnum):
    """Of faults, as they are counted for a job."""

    INFRASTRUCTURE = "infrastructure"
    OWN = "own"
    MEMORY = "memory"
    TAKEN = "taken"


MOST = {Kind.INFRASTRUCTURE: 5, Kind.OWN: 1, Kind.MEMORY: 1}
KINDS = {
    Reason.LOST: Kind.INFRASTRUCTURE, Reason.SPAWN_FAILED: Kind.INFRASTRUCTURE, Reason.STOPPED: Kind.INFRASTRUCTURE,
    Reason.OWN_FAULT: Kind.OWN, Reason.SIGNAL: Kind.OWN, Reason.HUNG: Kind.OWN,
    Reason.OUT_OF_MEMORY: Kind.MEMORY, Reason.RESOURCE_TAKEN: Kind.TAKEN}

BY_CODE = {int(code): reason for code, reason in REASONS.items()}


@dataclass(frozen=True)
class Verdict:
    state: State  # SUCCEEDED, FAILED, CANCELLED or RETRY_WAIT
    reason: Reason
    code: int | None
    delay_s: float  # before the next attempt
    faults: Mapping[str, int]  # of the job so far, this one included
    detail: str  # one line for people


def verdict(job: Job, ended: Ended | None, stop_reason: Reason | None, jitter: float,
            base_s: float = BASE_S) -> Verdict:
    """`stop_reason`: why we asked it to stop, if we did. `jitter`, from 0 to 1, keeps many from coming back at once."""
    code = ended.code if ended else None
    if code == Exit.DONE:  # before the stop reached it, if there was one
        return Verdict(State.SUCCEEDED, Reason.DONE, code, 0.0, job.faults, "")
    found, detail = _why(ended)
    if stop_reason is Reason.CANCELLED:
        return Verdict(State.CANCELLED, stop_reason, code, 0.0, job.faults, "")
    if stop_reason is not None:
        found, detail = stop_reason, f"{stop_reason}: stopped by the service, {detail}"
    kind = KINDS.get(found)
    if kind is None:
        return Verdict(State.FAILED, found, code, 0.0, job.faults, detail)
    faults = {**job.faults, kind.value: job.faults.get(kind, 0) + 1}
    if _over(job, kind, faults[kind]):
        return Verdict(State.FAILED, found, code, 0.0, faults, detail)
    return Verdict(State.RETRY_WAIT, found, code, delay_s(kind, faults[kind], jitter, base_s), faults, detail)


def delay_s(kind: Kind, count: int, jitter: float, base_s: float = BASE_S) -> float:
    """Doubles with each fault of the kind, up to a limit; the jitter takes away up to a half."""
    longest_s = LONGEST_TAKEN_S if kind is Kind.TAKEN else LONGEST_S
    return min(longest_s, base_s * 2.0 ** min(count - 1, MOST_DOUBLINGS)) * (1 - jitter / 2)


def _why(ended: Ended | None) -> tuple[Reason, str]:
    if ended is None:
        return Reason.LOST, "it ended without an exit status"
    if ended.spawn_error is not None:
        return Reason.SPAWN_FAILED, f"it could not be started: {ended.spawn_error}"
    if ended.signal is not None:
        return _of_signal(ended.signal, ended.oom_kills)
    if ended.code is None:
        return Reason.LOST, "it ended without an exit status"
    return BY_CODE.get(ended.code, Reason.OWN_FAULT), f"exit code {ended.code}"


def _of_signal(number: int, oom_kills: int) -> tuple[Reason, str]:
    if number == signal.SIGKILL and oom_kills:
        return Reason.OUT_OF_MEMORY, "the host had no memory left and killed it"
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    stopped = number == signal.SIGTERM  # a shutdown of the host, before the runner could listen for it
    return Reason.STOPPED if stopped else Reason.SIGNAL, f"ended by {name}"


def _over(job: Job, kind: Kind, count: int) -> bool:
    spent = job.max_attempts is not None and job.attempt >= job.max_attempts
    return spent or count > MOST.get(kind, count)
