"""What the service tells about a job, from the moment on at which the stream was opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from adaptive_nerf.client.interrupts import interrupt_deferred
from adaptive_nerf.client.way import Way
from adaptive_nerf.common.errors import Failure
from kafka_utils.reader import NoSuchTopic, Reader, Record

Event = dict[str, Any]


class EventStream:
    def __init__(self, way: Way):
        self._seen: set[str] = set()  # events are told at least once
        self._reader = open_reader(way, way.topics.events)
        self._reader.from_end()

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of(self, job_id: str, wait_s: float) -> Iterator[Event]:
        """What has been told meanwhile, waiting for the first of it."""
        with interrupt_deferred():
            records = self._reader.take(wait_s)
        for record in records:
            event = event_of(record)
            if event.get("job_id") == job_id and event.get("event_id") not in self._seen:
                self._seen.add(str(event.get("event_id")))
                yield event


def open_reader(way: Way, topic: str) -> Reader:
    try:
        return Reader(way.settings, topic)
    except NoSuchTopic as error:
        raise Failure(f"{error}: no mediator has served {way.topics.jobs} there yet; start one with: python3 "
                      f"mediator.py --topic {way.topics.jobs}, or name another --topic or --broker; one that "
                      f"has just begun needs a second or two") from error


def event_of(record: Record) -> Event:
    """{} for what is no event: the topic is open to others."""
    try:
        event = json.loads(record.value)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
