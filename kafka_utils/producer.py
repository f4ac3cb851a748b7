"""Sends records: acknowledged by all replicas, in order, without doubles; waits for the broker as long as need be."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from adaptive_nerf.common.transport import Undelivered
from kafka_utils.errors import error_of, plain
from kafka_utils.link import LibraryLog
from kafka_utils.topic_manager import CONNECTION

log = logging.getLogger(__name__)
Done = Callable[[Undelivered | None], None]
DROP_S = 1.0
NEVER = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD}  # the fault of the record itself

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
        self._answers: deque[tuple[Done, Undelivered | None]] = deque()
        self._broken = False
        self._inner = self._make()

    def submit(self, topic: str, key: bytes | None, value: bytes, headers: Mapping[str, str], done: Done) -> bool:
        """Queue one record. False: the queue is full, poll and try again. `done(error or None)` runs in poll, flush."""
        if self._broken:
            self._start_anew()

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            self._answers.append((done, None if error is None else _undelivered(error)))

        try:
            self._inner.produce(topic, value=value, key=key, headers=list(headers.items()), on_delivery=on_delivery)
        except BufferError:
            return False
        except KafkaException as error:  # refused by the library at once, as a record that is too large
            self._answers.append((done, _undelivered(error_of(error))))
        return True

    def poll(self, wait_s: float) -> int:
        """Serve what was answered; returns how many records that were."""
        if self._broken:
            self._start_anew()
        self._inner.poll(0 if self._answers else wait_s)
        return self._tell()

    def flush(self, wait_s: float) -> int:
        """Wait until all is delivered; returns how many records are not yet."""
        left = self._inner.flush(wait_s)
        self._tell()
        return left

    def close(self) -> None:
        """At once: what is still queued is dropped, and its `done` says so."""
        self._drop_all()
        self._tell()

    def _tell(self) -> int:
        """Outside the library's callbacks, so that `done` may use this producer, and may fail."""
        told = 0
        while self._answers:
            done, error = self._answers.popleft()
            done(error)
            told += 1
        return told

    def _start_anew(self) -> None:
        """What is still queued comes back as an error through `done`, so that its sender sends it again, in order."""
        self._drop_all()
        log.warning("the producer starts anew")
        self._inner, self._broken = self._make(), False

    def _drop_all(self) -> None:
        self._inner.purge()
        self._inner.flush(DROP_S)

    def _make(self) -> confluent_kafka.Producer:
        return confluent_kafka.Producer(self._config, logger=LibraryLog())

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():  # the guarantee of order and no doubles is broken: this client refuses to go on
            log.warning("the producer cannot go on: %s", plain(error))
            self._broken = True


def _undelivered(error: KafkaError) -> Undelivered:
    return Undelivered(plain(error), never=error.code() in NEVER)
