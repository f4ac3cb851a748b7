"""What the broker acknowledged, kept by a producer that shares no code with the service.

An entry says what its sender expects of the service: "job" (a good message), "repeat" (the same job again), "refused"
(a dead letter) or "wish" (for the control topic, which has no answer of its own). Nothing that was not acknowledged is
owed an answer.
"""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from confluent_kafka import KafkaException, Producer

Expect = Literal["job", "repeat", "refused", "wish"]


@dataclass(frozen=True)
class Entry:
    topic: str
    partition: int
    offset: int
    value: bytes
    job_id: str | None
    expect: Expect
    sent_s: float  # wall clock
    codes: frozenset[str] = field(default_factory=frozenset)  # of a refusal; empty: any


class Ledger:
    """Sends in the background of its own thread-safe producer; `entries` grows as the broker answers."""

    def __init__(self, broker: str, topic: str):
        self.topic = topic
        self.entries: list[Entry] = []
        self.failures: list[str] = []  # to send: the judge asks for none
        self._lock = threading.Lock()
        self._producer = Producer({
            "bootstrap.servers": broker, "acks": "all", "enable.idempotence": True, "linger.ms": 2, "log_level": 0,
            "reconnect.backoff.ms": 50,  # the first connection, too, waits for half of this
            "queue.buffering.max.messages": 1_000_000, "message.max.bytes": 8_000_000, "delivery.timeout.ms": 600_000})

    def send(self, job_id: str, label: str = "", expect: Expect = "job", **fields: Any) -> None:
        """A small job; `label` is what the fake runner shall do."""
        message = {"v": 1, "op": "train", "data_path": "data/town", "job_id": job_id, "dataset": label, **fields}
        self.send_bytes(json.dumps(message).encode(), job_id, expect)

    def send_many(self, job_ids: Iterable[str], label: str = "", **fields: Any) -> None:
        for job_id in job_ids:
            self.send(job_id, label, **fields)

    def send_bytes(self, value: bytes | None, job_id: str | None = None, expect: Expect = "job", *,
                   codes: Iterable[str] = (), headers: Mapping[str, bytes] | None = None, key: bytes | None = None,
                   topic: str | None = None) -> None:
        target, sent_s, allowed = topic or self.topic, time.time(), frozenset(codes)

        def delivered(error: Any, message: Any) -> None:
            with self._lock:
                if error is not None:
                    self.failures.append(str(error))
                else:
                    self.entries.append(Entry(target, message.partition(), message.offset(), value or b"", job_id,
                                              expect, sent_s, allowed))

        while True:
            try:
                self._producer.produce(target, value, key, on_delivery=delivered, headers=list((headers or {}).items()))
                break
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:  # refused before it was sent
                self.failures.append(str(error))
                return
        self._producer.poll(0)

    def flush(self, within_s: float = 60.0) -> list[Entry]:
        """Wait for the broker's answers. What is still open then was acknowledged by nobody, and is owed nothing."""
        left = self._producer.flush(within_s)
        assert not left, f"the broker acknowledged all but {left} messages within {within_s:g} s"
        with self._lock:
            return list(self.entries)

    def poll(self) -> None:
        self._producer.poll(0)
