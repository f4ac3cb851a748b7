"""Sends records: acknowledged by all replicas, in order, without doubles; waits for the broker as long as need be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from kafka_utils.errors import error_of, plain
from kafka_utils.link import LibraryLog
from kafka_utils.topic_manager import CONNECTION

log = logging.getLogger(__name__)
Done = Callable[[str | None], None]

SETTINGS: dict[str, Any] = {
    **CONNECTION,
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": 0,  # no limit: events wait for the broker
    "linger.ms": 5,
    "message.max.bytes": 16 * 2**20,  # the topic's own limit counts
    "queue.buffering.max.messages": 100_000,
    "topic.metadata.refresh.interval.ms": 10_000,
}


class Producer:
    def __init__(self, settings: Mapping[str, str], client_id: str):
        self._config = {**SETTINGS, **settings, "client.id": client_id, "error_cb": self._on_error}
        self._refused: list[tuple[Done, str]] = []  # by the library, at once
        self._broken = False
        self._inner = self._make()

    def submit(self, topic: str, key: bytes | None, value: bytes, headers: Mapping[str, str], done: Done) -> bool:
        """Queue one record. False: the queue is full, poll and try again. `done(error or None)` runs in poll, flush."""
        if self._broken:
            self._start_anew()

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            done(None if error is None else plain(error))

        try:
            self._inner.produce(topic, value=value, key=key, headers=list(headers.items()), on_delivery=on_delivery)
        except BufferError:
            return False
        except KafkaException as error:
            self._refused.append((done, plain(error_of(error))))
        return True

    def poll(self, wait_s: float) -> int:
        """Serve what was answered; returns how many records that were."""
        refused = self._tell_refused()
        return refused + self._inner.poll(0 if refused else wait_s)

    def flush(self, wait_s: float) -> int:
        """Wait until all is delivered; returns how many records are not yet."""
        self._tell_refused()
        return self._inner.flush(wait_s)

    def close(self) -> None:
        """At once: what is still queued is dropped, and its `done` says so."""
        self._tell_refused()
        self._drop_all()

    def _start_anew(self) -> None:
        """What is still queued comes back as an error through `done`, so that its sender sends it again, in order."""
        self._drop_all()
        log.warning("the producer starts anew")
        self._inner, self._broken = self._make(), False

    def _drop_all(self) -> None:
        self._inner.purge()
        self._inner.flush(1.0)

    def _tell_refused(self) -> int:
        refused, self._refused = self._refused, []
        for done, why in refused:
            done(why)
        return len(refused)

    def _make(self) -> confluent_kafka.Producer:
        return confluent_kafka.Producer(self._config, logger=LibraryLog())

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():  # the guarantee of order and no doubles is broken: this client refuses to go on
            log.warning("the producer cannot go on: %s", plain(error))
            self._broken = True
