"""The outbox goes to the broker, in order, at least once; it never stands in the way of a job.

While the broker is away, or refuses us, the records wait, here and in the database. A record that the broker will never
take, because it is too large, is told shorter, or in the log; it does not hold up those behind it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.common.transport import MessageSink, Undelivered
from adaptive_nerf.jobs.records import Outgoing
from adaptive_nerf.jobs.store import Store, StoreFull

log = logging.getLogger(__name__)
AT_ONCE, POLL_S, SHORTENED_BYTES, REFUSED_REST_S = 500, 0.1, 64 * 1024, 10.0


class Publisher:
    def __init__(self, store: Store, topic_of: Callable[[str], str], on_full: Callable[[], object],
                 clock: Callable[[], float] = time.monotonic):
        self.store, self.topic_of, self.on_full, self.clock = store, topic_of, on_full, clock
        self._waiting: dict[int, Outgoing] = {}  # given to the client library, not acknowledged yet
        self._delivered: list[int] = []  # acknowledged, and to be noted in the store
        self._trouble = ""  # why the latest record did not arrive, as the log has it
        self._rest_until_s = 0.0

    def step(self, sink: MessageSink) -> int:
        """One round: hand over what is new, note what arrived. Returns how many records are on their way."""
        if not self._on_their_way() and self.clock() >= self._rest_until_s:
            for record in self.store.unpublished(AT_ONCE):
                self._waiting[record.number] = record
                self._submit(sink, record, record.value, dict(record.headers))
        if not self._on_their_way():
            return 0
        failpoint("before_publish")
        sink.poll(POLL_S)
        if self._delivered:
            failpoint("after_publish")
            self._note_delivered()
        return self._on_their_way()

    def _on_their_way(self) -> int:
        return len(self._waiting) + len(self._delivered)

    def _note_delivered(self) -> None:
        try:
            self.store.published(self._delivered)
            self._delivered = []
        except StoreFull as error:  # the next round notes it
            self.on_full()
            self._say(str(error))

    def _submit(self, sink: MessageSink, record: Outgoing, value: bytes, headers: dict[str, str]) -> None:
        def done(error: Undelivered | None) -> None:
            if error is not None and error.never and len(value) > SHORTENED_BYTES:
                log.warning("record %d for %s is told shortened: %s", record.number, record.key, error)
                self._submit(sink, record, value[:SHORTENED_BYTES], {**headers, "shortened_from": str(len(value))})
                return
            self._waiting.pop(record.number, None)
            if error is not None and not error.never:  # it is still in the store, and is taken from there again
                self._rest_until_s = self.clock() + REFUSED_REST_S
                self._say(f"events wait, for {self.topic_of(record.stream)} does not take them: {error}")
                return
            if error is not None:
                log.error("record %d of %s for %s is refused by the broker: %s", record.number, record.stream,
                          record.key, error)
            else:
                self._trouble = ""
            self._delivered.append(record.number)

        while not sink.submit(self.topic_of(record.stream), record.key.encode() or None, value, headers, done):
            sink.poll(POLL_S)

    def _say(self, trouble: str) -> None:
        """Each trouble once, not with every try."""
        if trouble != self._trouble:
            log.warning("%s", trouble)
            self._trouble = trouble
