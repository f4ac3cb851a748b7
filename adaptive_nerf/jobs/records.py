"""What passes between the parts of the service: plain frozen records, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adaptive_nerf.jobs.states import Reason, State


@dataclass(frozen=True)
class Source:
    """Where messages come from. A re-created topic counts from 0 again, so its incarnation is part of the name."""

    cluster: str
    incarnation: str
    partition: int


@dataclass(frozen=True)
class NewJob:
    """A message that was judged good, as it enters the store."""

    job_id: str
    op: str
    canonical: str  # the message as sent, keys sorted: what "the same job" means
    priority: int = 5
    gpus: int = 1
    timeout_s: float = 0.0
    hang_timeout_s: float = 0.0
    max_attempts: int | None = None
    light: bool = False  # long-lived and light, as `view`: never takes a slot of the others
    stay: bool = False  # outlives a graceful stop of the mediator
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A message that is no job, with what to tell its sender."""

    code: str
    errors: tuple[Mapping[str, str], ...]  # {field, message, hint}
    job_id: str | None = None  # only where it is a proper one


@dataclass(frozen=True)
class Arrival:
    """One message with its judgement, at its place in the log."""

    source: Source
    offset: int
    value: bytes
    verdict: NewJob | Rejected
    topic: str = ""  # for people, in the answer to a bad message


@dataclass(frozen=True)
class Draft:
    """An event to be told together with a change; the store adds job, state, attempt, number and time."""

    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A job as the store knows it."""

    number: int  # order of acceptance
    job_id: str
    op: str
    canonical: str
    priority: int
    gpus: int
    timeout_s: float
    hang_timeout_s: float
    max_attempts: int | None
    light: bool
    stay: bool
    state: State
    reason: Reason | None
    code: int | None
    attempt: int  # 0 before the first
    slots: tuple[str, ...]  # held by the live attempt
    nonce: str  # of the live or latest attempt
    faults: Mapping[str, int]  # failures so far, by kind of retry: infrastructure, own, memory
    accepted_at: float  # wall clock
    changed_at: float
    started_steady_s: float  # of the live attempt, CLOCK_BOOTTIME
    not_before_steady_s: float  # RETRY_WAIT until then
    cancel_asked: bool
    progress: Mapping[str, Any] | None
    url: str
    detail: str  # one line for people: what went wrong, or what it waits for
    result: Mapping[str, Any] | None


@dataclass(frozen=True)
class Outgoing:
    """A record of the outbox, in the order in which it must be published."""

    number: int
    stream: str  # "events" or "dead-letters"
    key: str
    value: bytes
    headers: Mapping[str, str]
