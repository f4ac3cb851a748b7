"""Messages become jobs: take, judge, store in one transaction, commit the offsets, release. It never waits for a job.

A job may start only after the commit that covers it: whoever has lost his place in the group fails at the commit, and
then lets go of what he had taken. The commit carries a mark, (name of the connection, incarnations of the topics), so
that at the next start we know whether the stored offset is ours, and whether it is of this topic or of one of the same
name that was deleted meanwhile. Each connection has a name of its own, so that a mediator with a copy of our state
folder, which has our group's name for us too, is not taken for a former life of ours.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.common.transport import Assigned, BrokerError, CommitFailed, MessageSource, Partition, Received
from adaptive_nerf.jobs.control import read_control
from adaptive_nerf.jobs.judgement import judge
from adaptive_nerf.jobs.message import BadMessage
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.records import Arrival, NewJob, Rejected, Source
from adaptive_nerf.jobs.settings import Topics
from adaptive_nerf.jobs.states import Verb
from adaptive_nerf.jobs.store import Store

log = logging.getLogger(__name__)
LOOK_AGAIN_S = 10.0  # at the topics' incarnations, when no message makes us look
BEGINNING, END = 0, 2**63 - 1
OLD_NAMES = 50


class TopicReplaced(BrokerError):
    """The topic was deleted and made again: positions mean nothing any more, the consumer is built anew."""


def source_of(place: Assigned | Received) -> Source:
    """A broker that cannot tell incarnations has one cluster id for each of its lives; then the name tells topics."""
    where = place.partition if isinstance(place, Assigned) else Partition(place.topic, place.partition)
    return Source(place.cluster, place.incarnation or f"name:{where.topic}", where.partition)


def derived_id(message: Received) -> str:
    """The same place in the log gives the same name, so that a redelivery is known again."""
    life = hashlib.sha256(f"{message.cluster} {message.incarnation}".encode()).hexdigest()[:8]
    return f"job-{message.partition}-{message.offset}-{life}"


class Intake:
    def __init__(self, store: Store, mediator_id: str, roots: Roots, topics: Topics, wake: Callable[[], None]):
        self.store, self.mediator_id, self.roots, self.topics, self.wake = store, mediator_id, roots, topics, wake
        self.connection = mediator_id  # its name, once there is one
        self._batch: list[Received] = []  # taken, not stored yet
        self._uncommitted: dict[Partition, int] = {}  # stored, not committed yet
        self._looked_s = time.monotonic()
        self._orphans_known = False

    def forget(self) -> None:
        """The consumer is gone: what it gave and is not stored comes again."""
        self._batch, self._uncommitted, self._orphans_known = [], {}, False

    def new_connection(self) -> str:
        """A name for it, written down before it is used, so that a later life knows it for its own."""
        name = f"{self.mediator_id}.{os.getpid()}.{secrets.token_hex(4)}"
        self.store.set_fact("connections", json.dumps([*self.own_connections()[-OLD_NAMES:], name]))
        self.connection = name
        return name

    def own_connections(self) -> list[str]:
        names: list[str] = json.loads(self.store.fact("connections") or "[]")
        return names

    def start_at(self, place: Assigned) -> int | None:
        """Where to begin in a partition, and what becomes of jobs that were stored before but maybe not committed."""
        source = source_of(place)
        if place.committed is None:
            return None
        who, *incarnations = place.mark.split() or [""]
        if incarnations and source.incarnation not in incarnations:
            log.warning("%s was made anew; read from its beginning", place.partition.topic)
            return BEGINNING
        if who in ("", *self.own_connections()):  # "" = moved by a person with a tool, who wants it so
            self.store.release(source, place.committed)
            self.wake()
        else:
            self._let_go([place], f"{who} has taken them")
        return None

    def lost(self, places: Sequence[Assigned]) -> None:
        """Partitions went to another member, or are about to be given anew: what is not stored comes again."""
        gone = {place.partition for place in places}
        self._batch = [message for message in self._batch if Partition(message.topic, message.partition) not in gone]
        self._uncommitted = {part: offset for part, offset in self._uncommitted.items() if part not in gone}

    def fenced(self, places: Sequence[Assigned]) -> None:
        self._let_go(places, "another member has our place in the group")
        self.forget()

    def _let_go(self, places: Sequence[Assigned], why: str) -> None:
        for place in places:
            for job_id in self.store.let_go(source_of(place)):
                log.warning("let go of job %s before it could start: %s", job_id, why)

    def step(self, line: MessageSource) -> int:
        """One round; returns how many messages it stored."""
        if self._uncommitted:
            self._commit(line)
        self._batch = self._batch or line.take()
        self._release_orphans(line)
        if not self._batch:
            self._look_again(line)
            return 0
        failpoint("poll")
        self._check_incarnations(line)
        stored = self._store()
        self._commit(line)
        return stored

    def _release_orphans(self, line: MessageSource) -> None:
        """Jobs of a topic that is gone, stored before their offset was committed: nobody will deliver them again."""
        places = line.assigned()
        if self._orphans_known or not places:
            return
        self._orphans_known = True
        topics = {(place.cluster, source_of(place).incarnation) for place in places}
        for source in self.store.accepted_sources():
            if (source.cluster, source.incarnation) not in topics:
                count = self.store.release(source, END)
                log.warning("%d jobs of a topic that is gone start all the same: they were accepted", count)

    def _store(self) -> int:
        batch = self._batch
        arrivals = [self._arrival(message) for message in batch if not self._obey(message)]
        taken = self.store.take_in(arrivals, str(self.roots.logs))
        failpoint("after_db_commit")
        for message in batch:
            self._uncommitted[Partition(message.topic, message.partition)] = message.offset + 1
        self._batch = []
        if taken.rejected:
            log.warning("%d of %d messages refused; ./scripts/jobs.py dead-letters tells why", taken.rejected,
                        len(batch))
        return len(batch)

    def _commit(self, line: MessageSource) -> None:
        places = {place.partition: place for place in line.assigned()}
        mark = " ".join([self.connection, *sorted({source_of(place).incarnation for place in places.values()})])
        try:
            line.commit(self._uncommitted, mark)
        except CommitFailed as error:
            log.warning("offsets not committed yet, so these jobs wait: %s", error)
            raise
        failpoint("after_offset_commit")
        for partition, offset in self._uncommitted.items():
            if partition in places:
                self.store.release(source_of(places[partition]), offset)
        self._uncommitted = {}
        self.wake()

    def _arrival(self, message: Received) -> Arrival:
        if message.topic == self.topics.control:
            verdict: NewJob | Rejected = _bad_control(message)
        else:
            verdict = judge(message.value, derived_id(message), self.roots)
        return Arrival(source_of(message), message.offset, message.value, verdict, message.topic)

    def _obey(self, message: Received) -> bool:
        """A request on the control topic: stored before its offset is committed; asking twice changes nothing."""
        if message.topic != self.topics.control:
            return False
        try:
            verb, job_id = read_control(message.value)
        except BadMessage:
            return False
        log.info("asked on %s to %s %s", message.topic, verb, job_id)
        place = (source_of(message), message.offset)
        if verb is Verb.CANCEL:
            self.store.ask_cancel(job_id, place)
        else:
            self.store.ask_retry(job_id, place)
        return True

    def _check_incarnations(self, line: MessageSource) -> None:
        """Asked after the messages were fetched: if the topic is the same now, it was when they were read."""
        before = {place.partition: place.incarnation for place in line.assigned()}
        for place in line.refresh():
            if before.get(place.partition, place.incarnation) != place.incarnation:
                raise TopicReplaced(f"topic {place.partition.topic} was deleted and made again")
        self._looked_s = time.monotonic()

    def _look_again(self, line: MessageSource) -> None:
        if time.monotonic() - self._looked_s > LOOK_AGAIN_S and line.connected:
            self._looked_s = time.monotonic()
            self._check_incarnations(line)
            if missing := line.missing():
                names = ", ".join(f"{part.topic}/{part.partition}" for part in missing)
                log.warning("another member of the group reads %s: jobs sent there do not reach us", names)


def _bad_control(message: Received) -> Rejected:
    try:
        read_control(message.value)
    except BadMessage as error:
        return Rejected(error.code, tuple(asdict(item) for item in error.errors))
    raise ValueError("a good control message is obeyed, not stored")

