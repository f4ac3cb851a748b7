"""The outbox goes to the broker, in order, at least once; it never stands in the way of a job.

While the broker is away the records wait, here and in the database. A record that the broker will never take, because
it is too large, is told shorter, or in the log; it does not hold up those behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.common.transport import MessageSink
from adaptive_nerf.jobs.records import Outgoing
from adaptive_nerf.jobs.store import Store

log = logging.getLogger(__name__)
AT_ONCE, POLL_S, SHORTENED_BYTES = 500, 0.1, 64 * 1024


class Publisher:
    def __init__(self, store: Store, topic_of: Callable[[str], str]):
        self.store, self.topic_of = store, topic_of
        self._waiting: dict[int, Outgoing] = {}  # given to the client library, not acknowledged yet
        self._delivered: list[int] = []

    def step(self, sink: MessageSink) -> int:
        """One round: hand over what is new, note what arrived. Returns how many records still wait."""
        if not self._waiting:
            for record in self.store.unpublished(AT_ONCE):
                self._waiting[record.number] = record
                self._submit(sink, record, record.value, dict(record.headers))
        if not self._waiting:
            return 0
        failpoint("before_publish")
        sink.poll(POLL_S)
        if self._delivered:
            failpoint("after_publish")
            self.store.published(self._delivered)
            self._delivered = []
        return len(self._waiting)

    def _submit(self, sink: MessageSink, record: Outgoing, value: bytes, headers: dict[str, str]) -> None:
        def done(error: str | None) -> None:
            if error and len(value) > SHORTENED_BYTES:
                log.warning("record %d for %s is told shortened: %s", record.number, record.key, error)
                self._submit(sink, record, value[:SHORTENED_BYTES], {**headers, "shortened_from": str(len(value))})
                return
            if error:
                log.error("record %d of %s for %s is refused by the broker: %s", record.number, record.stream,
                          record.key, error)
            self._delivered.append(record.number)
            self._waiting.pop(record.number, None)

        while not sink.submit(self.topic_of(record.stream), record.key.encode() or None, value, headers, done):
            sink.poll(POLL_S)
