"""Sends a job and waits until the service has said that it has it."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from adaptive_nerf.client.event_stream import Event, EventStream, open_reader
from adaptive_nerf.client.interrupts import interrupt_deferred
from adaptive_nerf.client.plain_text import error_lines
from adaptive_nerf.client.way import Way
from adaptive_nerf.common.errors import AdaptiveNerfError, BadInput, Failure
from adaptive_nerf.common.transport import Undelivered
from adaptive_nerf.jobs.control import NoMediator, ask
from adaptive_nerf.jobs.job_file import read_message, with_settings
from adaptive_nerf.jobs.message import BadMessage, job_of
from kafka_utils.producer import Producer

DELIVERY_S, WARNINGS_S = 10.0, 1.0
LASTING = {"accepted", "warning"}  # what may come before the first word on the job's course


class NotAJob(BadInput):
    """The file, or the answer of the service, says why."""


def message_of(path: Path, settings: Sequence[str], job_id: str | None, now: datetime) -> dict[str, Any]:
    """The message in a file with settings on top, checked as the service will check it, and with a name."""
    try:
        sent = with_settings(read_message(path), settings)
        if job_id is not None:
            sent["job_id"] = job_id
        read = job_of(sent)
    except BadMessage as error:
        raise NotAJob(error_lines(f"{path} is no job", list(map(asdict, error.errors)))) from error
    return sent if read.job.job_id else {**sent, "job_id": new_job_id(str(sent["op"]), now)}


def new_job_id(op: str, now: datetime) -> str:
    return f"{op}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def as_bytes(sent: Mapping[str, Any]) -> bytes:
    return json.dumps(sent).encode()


def deliver(way: Way, topic: str, value: bytes) -> None:
    """Returns when the broker has acknowledged it."""
    producer = Producer(way.settings, f"sender-{os.getpid()}")
    outcome: list[Undelivered | None] = []
    deadline_s = time.monotonic() + DELIVERY_S
    try:
        producer.submit(topic, None, value, {}, outcome.append)
        while not outcome and time.monotonic() < deadline_s:
            with interrupt_deferred():
                producer.poll(0.1)
        answered = list(outcome)  # closing adds an outcome of its own
    finally:
        producer.close()
    if not answered:
        raise Failure(f"the broker {way.address} did not acknowledge the message within {DELIVERY_S:g} s; whether it "
                      f"arrived is unknown, and sending it again with the same job_id does no harm")
    if answered[0] is not None:
        raise Failure(f"the broker {way.address} refused the message: {answered[0]}")


def deliver_only(way: Way, value: bytes) -> None:
    """Without a look at the answer, but not into a topic that a slip of the finger would make."""
    open_reader(way, way.topics.jobs).close()
    deliver(way, way.topics.jobs, value)


def answer_of(stream: EventStream, job_id: str, wait_s: float) -> list[Event]:
    """The first words of the service on this job; none when nobody answered in time. Raises NotAJob."""
    told: list[Event] = []
    deadline_s = time.monotonic() + wait_s
    while time.monotonic() < deadline_s and not (told and told[-1]["event"] not in LASTING):
        for event in stream.of(job_id, 0.1):
            if event["event"] == "rejected":
                raise NotAJob(error_lines(f"the service refuses {job_id}", _errors_of(event)))
            if not told:
                deadline_s = time.monotonic() + WARNINGS_S
            told.append(event)
    return told


def _errors_of(event: Event) -> list[dict[str, str]]:
    return event.get("errors") or [{"message": f"is refused: {event.get('reason')}"}]


def no_answer(way: Way, state: Path, job_id: str, wait_s: float) -> Failure:
    return Failure(f"{job_id} is in the topic {way.topics.jobs} at {way.address}, but no mediator answered within "
                   f"{wait_s:g} s: {_why(way, state)}. It is not lost: whoever serves the topic next runs it")


def _why(way: Way, state: Path) -> str:
    """What the mediator of this state folder has to do with it."""
    try:
        status = ask(state, {"verb": "status"})
    except NoMediator:
        return f"none runs here; start one with: python3 mediator.py --topic {way.topics.jobs} --broker {way.address}"
    except AdaptiveNerfError as error:
        return str(error)
    if status.get("topic") != way.topics.jobs:
        return f"the one that runs here serves the topic {status.get('topic')}"
    if status.get("broker") != way.address:
        return f"the one that runs here listens to the broker {status.get('broker')}"
    return str(status.get("why") or "one runs here; its log, logs/mediator.txt, tells why")
