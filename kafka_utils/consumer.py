"""Reads topics as one member of a group: at least once, from explicit offsets, committed only when we are told to.

Membership is static (`instance_id`): a restarted member gets its partitions back at once instead of after a timeout.
All calls, and the callbacks, run in the thread that calls take() and commit(). A broker that is away is no error:
`connected` is False and `last_error` says why. After Fenced close the consumer; after any other error go on taking.
In a callback, poll, consume, list_topics and cluster_id of the library's own consumer may not be called: they serve
callbacks themselves, and the library would abort the process. committed does not, and may be.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from adaptive_nerf.common.transport import Assigned, BrokerError, CommitFailed, Partition, Received
from kafka_utils.errors import commit_error, error_of, plain, translated
from kafka_utils.link import LibraryLog, Link
from kafka_utils.topic_manager import CONNECTION, administrator, incarnations, is_development

log = logging.getLogger(__name__)
ASK_S = 10.0  # for an answer of the broker while partitions are assigned
COMMIT_S = 5.0
CLOSE_S = 3.0
LOOK_S = 1.0
SILENT_S = 60.0  # then we connect anew, whatever the library believes
TOPIC_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}

SETTINGS: dict[str, Any] = {
    **CONNECTION,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "group.protocol": "classic",  # with "consumer" a restarted static member is refused until its session ends
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 45_000,
    "max.poll.interval.ms": 300_000,
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 100,  # the development broker answers only when this is over
    "fetch.queue.backoff.ms": 100,
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 16_384,
    "topic.metadata.refresh.interval.ms": 2_000,  # new and re-created topics are seen after this
    "statistics.interval.ms": 1_000,
}
# The development broker takes a restarted static member for a second one, and lets it wait for the end of the first.
DEVELOPMENT: dict[str, Any] = {"group.instance.id": None, "session.timeout.ms": 6_000}


class Consumer:
    def __init__(self, settings: Mapping[str, str], topics: Sequence[str], group_id: str, instance_id: str,
                 client_id: str, start_at: Callable[[Assigned], int | None],
                 on_lost: Callable[[Sequence[Assigned]], None]):
        self._settings, self._topics = dict(settings), list(topics)
        self._start_at, self._on_lost = start_at, on_lost
        self._link = Link(self._settings)
        self._assigned: dict[Partition, Assigned] = {}
        self._early: list[Message] = []  # arrived while a commit was waited for
        self._answers: list[tuple[KafkaError | None, list[TopicPartition]]] = []  # to commits
        self._paused = self._settled = self._closed = self._leaving = False
        self._broken: BrokerError | None = None  # the last assignment did not succeed
        self._admin: AdminClient | None = None
        self._config = {**SETTINGS, **self._settings, "group.id": group_id, "group.instance.id": instance_id,
                        "client.id": client_id, "error_cb": self._link.on_error, "stats_cb": self._link.on_stats,
                        "on_commit": lambda error, places: self._answers.append((error, places))}
        self._inner = self._join()

    @property
    def connected(self) -> bool:
        return self._link.connected

    @property
    def last_error(self) -> str:
        """Why not connected, in one line; empty when all is well."""
        return self._link.last_error

    def take(self, wait_s: float = 0.2, most: int = 500) -> list[Received]:
        """What has come, in order per partition; [] when nothing did. Waits for the first message only."""
        self._join_again_if_need_be()
        with self._errors_ours():
            if not self._early and (first := self._inner.poll(wait_s)) is not None:
                self._early.append(first)
            if self._early and len(self._early) < most:
                self._early += self._inner.consume(most - len(self._early), 0)
        messages, self._early = self._early[:most], self._early[most:]
        received = [found for message in messages if (found := self._received(message)) is not None]
        if not received:  # what counts as delivered is handed over before any error
            self._raise_trouble()
        return received

    def commit(self, next_offsets: Mapping[Partition, int], mark: str) -> None:
        """Store the offsets at the broker, with the mark beside each. Returns when the broker said yes."""
        if not next_offsets:
            return
        self._raise_trouble()
        wanted = [TopicPartition(where.topic, where.partition, offset, metadata=mark)
                  for where, offset in next_offsets.items()]
        try:
            self._inner.commit(offsets=wanted, asynchronous=True)
        except KafkaException as error:
            raise commit_error(error_of(error), self._settings) from error
        self._await_answer({(place.topic, place.partition): place.offset for place in wanted})
        self._link.contact()

    def refresh(self) -> list[Assigned]:
        """Our partitions, with the topics' incarnations as they are now ("gone" for a topic that was deleted)."""
        held = list(self._assigned.values())
        now = self._incarnations({place.partition.topic for place in held})
        self._link.contact()
        return [Assigned(place.partition, place.cluster, now.get(place.partition.topic, "gone"), place.committed,
                         place.mark) for place in held]

    def assigned(self) -> list[Assigned]:
        return list(self._assigned.values())

    def missing(self) -> list[Partition]:
        """Partitions of our topics that are not ours: another member has them. [] until the group has settled."""
        if not self._settled:
            return []
        with self._errors_ours():
            topics = self._admin_client().list_topics(timeout=ASK_S).topics
        everything = [Partition(name, number) for name in self._topics if name in topics
                      for number in topics[name].partitions]
        return [partition for partition in everything if partition not in self._assigned]

    def pause(self) -> None:
        """No messages until resume(). Call take() all the same: that keeps our place in the group."""
        self._paused = True
        self._inner.pause(_places(self._assigned))

    def resume(self) -> None:
        self._paused = False
        self._inner.resume(_places(self._assigned))

    def close(self) -> None:
        """Leave without a word to the callbacks; our place in the group stays ours for the session timeout.

        While the broker is away the library waits up to that long for a commit; we do not wait for the library.
        """
        if not self._closed:
            self._closed = True
            self._leave()

    def _join(self) -> confluent_kafka.Consumer:
        config = {**self._config, **DEVELOPMENT} if self._on_development_broker() else self._config
        inner = confluent_kafka.Consumer({key: value for key, value in config.items() if value is not None},
                                         logger=LibraryLog())
        inner.subscribe(self._topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)
        self._joined_s = time.monotonic()
        return inner

    def _on_development_broker(self) -> bool:
        with contextlib.suppress(KafkaException):  # away: the real one then, for the other is never waited for
            return is_development(self._admin_client().cluster_id(timeout=LOOK_S))
        return False

    def _leave(self) -> None:
        self._leaving = True
        closing = threading.Thread(target=self._inner.close, name="kafka-close", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        self._leaving, self._admin = False, None

    def _join_again_if_need_be(self) -> None:
        silent = min(self._link.since_last_contact_s(), time.monotonic() - self._joined_s) > SILENT_S
        if self._broken is None and not silent:
            return
        error, self._broken = self._broken, None
        log.info("joining the group anew: %s", error or "a minute without a word from the broker")
        lost, self._assigned, self._early = self.assigned(), {}, []
        self._leave()
        self._inner = self._join()
        if lost:
            self._on_lost(lost)

    def _received(self, message: Message) -> Received | None:
        error = message.error()
        if error is not None:
            self._note(error)
            return None
        topic, number, offset = message.topic(), message.partition(), message.offset()
        place = self._assigned.get(Partition(topic or "", -1 if number is None else number))
        if place is None or offset is None:  # taken from us between the fetch and now
            return None
        self._link.contact()
        return Received(place.partition.topic, place.partition.partition, offset, place.cluster, place.incarnation,
                        message.value() or b"")

    def _note(self, error: KafkaError) -> None:
        if error.code() in TOPIC_MISSING:
            log.info("%s; it is waited for", plain(error))
        elif error.code() == KafkaError._MAX_POLL_EXCEEDED:
            log.warning("the group went on without us (%s); joining again", plain(error))
        else:
            self._link.on_error(error)

    def _raise_trouble(self) -> None:
        trouble = self._broken or self._link.fatal or self._link.take_login_refusal()
        if trouble is not None:
            raise trouble

    def _await_answer(self, wanted: dict[tuple[str, int], int]) -> None:
        deadline = time.monotonic() + COMMIT_S
        while time.monotonic() < deadline:
            for error, places in self._answers:
                if {(place.topic, place.partition): place.offset for place in places} == wanted:
                    self._answers = []
                    _check_answer(error, places, self._settings)
                    return
            message = self._inner.poll(0.001)  # serves the answer; a message that comes first is kept
            if message is not None:
                self._early.append(message)
        raise CommitFailed(f"no answer to a commit of offsets for {COMMIT_S:g} s ({self.last_error or 'unknown why'})")

    def _assign(self, _: confluent_kafka.Consumer, places: list[TopicPartition]) -> None:
        """Where this fails, the library begins at places of its own choice: nothing of that may be handed over."""
        self._settled = True
        self._broken = BrokerError("the partitions given to us could not be taken on; the consumer starts anew")
        try:
            self._begin(places)
            self._broken = None
        except BrokerError as error:
            self._broken = error
        except KafkaException as error:
            self._broken = translated(error_of(error), self._settings)
        finally:
            if self._broken is not None:
                self._assigned.clear()

    def _begin(self, places: list[TopicPartition]) -> None:
        if not places:
            return
        cluster = self._admin_client().cluster_id(timeout=ASK_S)
        if not cluster:
            raise BrokerError("the broker did not tell its cluster's id in time")
        now = self._incarnations({place.topic for place in places}, cluster)
        begin = []
        for place in self._inner.committed(places, timeout=ASK_S):
            if place.error is not None:
                raise KafkaException(place.error)
            partition = Partition(place.topic, place.partition)
            committed = place.offset if place.offset >= 0 else None
            assigned = Assigned(partition, cluster, now.get(place.topic, "gone"), committed, place.metadata or "")
            self._assigned[partition] = assigned
            start = self._start_at(assigned)
            begin.append(TopicPartition(place.topic, place.partition, _first(start, committed)))
        self._inner.incremental_assign(begin)
        if self._paused:
            self._inner.pause(begin)
        self._link.contact()

    def _revoke(self, who: confluent_kafka.Consumer, places: list[TopicPartition]) -> None:
        if self._leaving or self._closed or who is not self._inner:  # a close that takes long goes on in its thread
            return
        gone = {Partition(place.topic, place.partition) for place in places}
        self._early = [message for message in self._early if _where(message) not in gone]
        lost = [self._assigned.pop(partition) for partition in gone if partition in self._assigned]
        if lost:
            self._on_lost(lost)

    def _incarnations(self, topics: set[str], cluster: str | None = None) -> dict[str, str]:
        known = cluster or next((place.cluster for place in self._assigned.values()), "")
        return incarnations(self._admin_client(), self._settings, sorted(topics), known, ASK_S)

    def _admin_client(self) -> AdminClient:
        if self._admin is None:
            self._admin = administrator(self._settings)
        return self._admin

    @contextlib.contextmanager
    def _errors_ours(self) -> Any:
        try:
            yield
        except KafkaException as error:
            raise translated(error_of(error), self._settings) from error


def _first(start: int | None, committed: int | None) -> int:
    if start is not None:
        return start
    return OFFSET_BEGINNING if committed is None else committed


def _places(partitions: Mapping[Partition, Assigned]) -> list[TopicPartition]:
    return [TopicPartition(where.topic, where.partition) for where in partitions]


def _where(message: Message) -> Partition:
    number = message.partition()
    return Partition(message.topic() or "", -1 if number is None else number)


def _check_answer(error: KafkaError | None, places: list[TopicPartition], settings: dict[str, str]) -> None:
    wrong = error or next((place.error for place in places if place.error is not None), None)
    if wrong is not None:
        raise commit_error(wrong, settings)
