"""Reads a topic from the outside: in no group, so that nobody's offsets and nobody's partitions are touched."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from adaptive_nerf.common.transport import BrokerError, BrokerUnreachable
from kafka_utils.errors import address_of, error_of, translated, unreachable_line
from kafka_utils.link import LibraryLog, Link
from kafka_utils.topic_manager import CONNECTION, is_development

MOST_AT_ONCE = 500
GONE_S = 5.0  # a development broker never comes back: its next life has another address, and no records
SETTINGS: dict[str, Any] = {
    **CONNECTION,
    "group.id": "reads-from-outside",  # the library wants a name; without a commit no such group comes into being
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # a development broker that was started again counts from 0
    "enable.partition.eof": True,  # tells the end also where a transaction or a compaction left something out
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 100,  # the development broker answers only when this is over
    "statistics.interval.ms": 1_000,
}


class NoSuchTopic(BrokerError):
    pass


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]
    at_s: float  # when it was sent, by the broker's account; 0 where that is unknown


class Reader:
    """Of one topic. Read with take() after from_end(), or all at once with last()."""

    def __init__(self, settings: Mapping[str, str], topic: str, wait_s: float = 5.0):
        self._settings, self._topic, self._wait_s = dict(settings), topic, wait_s
        self._link = Link(self._settings)
        self._inner = confluent_kafka.Consumer(
            {**SETTINGS, **settings, "error_cb": self._link.on_error, "stats_cb": self._link.on_stats},
            logger=LibraryLog())
        try:
            self.partitions = self._find_partitions()
        except BrokerError:
            self._inner.close()
            raise

    def close(self) -> None:
        self._inner.close()

    def from_end(self) -> None:
        """From now on; what is sent after this call is read for certain."""
        self._assign({partition: high for partition, (_, high) in self._bounds().items()})

    def take(self, wait_s: float) -> list[Record]:
        """What has come, waiting for the first of it. A broker that is away is waited for, and said so in the log;
        but for a development broker, which never returns."""
        return [_of(message) for message in self._poll(wait_s) if message.error() is None]

    def last(self, count: int) -> list[Record]:
        """The newest records, oldest of them first."""
        bounds = self._bounds()
        found = self._read({place: (max(low, high - count), high) for place, (low, high) in bounds.items()})
        return sorted(found, key=lambda record: (record.at_s, record.partition, record.offset))[-count:]

    def at(self, partition: int, offset: int) -> Record | None:
        """The record at that place, if it is still there."""
        low, high = self._bounds().get(partition, (0, 0))
        found = self._read({partition: (offset, offset + 1)}) if low <= offset < high else []
        return found[0] if found else None

    def _read(self, ranges: Mapping[int, tuple[int, int]]) -> list[Record]:
        """Everything in ranges of offsets [first, end)."""
        ends = {partition: end for partition, (first, end) in ranges.items() if end > first}
        self._assign({partition: ranges[partition][0] for partition in ends})
        found, unread, deadline_s = [], set(ends), time.monotonic() + self._wait_s
        while unread:
            for message in self._poll(0.2):
                partition, offset = message.partition() or 0, message.offset() or 0
                if message.error() is None and offset < ends[partition]:
                    found.append(_of(message))
                if message.error() is not None or offset >= ends[partition] - 1:
                    unread.discard(partition)
                deadline_s = time.monotonic() + self._wait_s
            if time.monotonic() > deadline_s:
                raise BrokerUnreachable(unreachable_line(self._settings, "no answer in time"))
        return found

    def _assign(self, offsets: Mapping[int, int]) -> None:
        self._inner.assign([TopicPartition(self._topic, partition, offset) for partition, offset in offsets.items()])

    def _bounds(self) -> dict[int, tuple[int, int]]:
        try:
            return {partition: self._inner.get_watermark_offsets(TopicPartition(self._topic, partition), self._wait_s)
                    for partition in self.partitions}
        except KafkaException as error:
            raise translated(error_of(error), self._settings) from error

    def _find_partitions(self) -> Sequence[int]:
        try:
            metadata = self._inner.list_topics(timeout=self._wait_s)  # of all: asked by name, it might be made
        except KafkaException as error:
            raise translated(error_of(error), self._settings) from error
        self._volatile = is_development(str(metadata.cluster_id))
        topics = metadata.topics
        if self._topic not in topics:
            raise NoSuchTopic(f"the broker {address_of(self._settings)} has no topic {self._topic}")
        return sorted(topics[self._topic].partitions)

    def _poll(self, wait_s: float) -> list[Message]:
        """Records, and the ends of partitions."""
        first = self._inner.poll(wait_s)
        if first is None:
            if refusal := self._link.take_login_refusal():
                raise refusal
            if self._volatile and not self._link.connected and self._link.since_last_contact_s() > GONE_S:
                raise BrokerUnreachable(f"the development broker {address_of(self._settings)} has ended, and its "
                                        f"records with it; ./scripts/jobs.py list tells what became of the jobs")
            return []
        return [message for message in [first, *self._inner.consume(MOST_AT_ONCE - 1, 0)] if self._counts(message)]

    def _counts(self, message: Message) -> bool:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return True
        if error.fatal() or error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART):
            raise translated(error, self._settings)
        return False  # passes by itself, as a lost connection does


def _of(message: Message) -> Record:
    kind, at_ms = message.timestamp()
    headers = {name: value.encode() if isinstance(value, str) else value or b""
               for name, value in dict(message.headers() or []).items()}
    key = message.key()
    return Record(message.partition() or 0, message.offset() or 0, key.encode() if isinstance(key, str) else key,
                  message.value() or b"", headers, at_ms / 1000 if kind else 0.0)
