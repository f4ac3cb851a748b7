"""How messages become jobs: each place in the log counts once, whatever is delivered how often.

    take_in -> ACCEPTED, nothing told yet -> release (its offset is committed) -> QUEUED, told
                                          -> let_go (somebody else has the partition) -> forgotten, as if never seen
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adaptive_nerf.jobs import store_rows
from adaptive_nerf.jobs.outbox import Outbox, iso
from adaptive_nerf.jobs.records import Arrival, Draft, Job, NewJob, Rejected, Source
from adaptive_nerf.jobs.states import Reason, State
from adaptive_nerf.jobs.store_rows import as_json

Place = tuple[Source, int]  # of a message, with its offset
CONFLICT = Rejected("job_id_conflict", ({
    "field": "/job_id", "message": "names a job that exists already and says something else",
    "hint": "give the new job another job_id"},))
WISH_S = 24 * 3600.0  # for so long a cancel waits for a job that has not come
NEW_ROW = {"state": State.ACCEPTED.value, "attempt": 0, "slots": "[]", "nonce": "", "faults": "{}",
           "started_steady_s": 0.0, "not_before_steady_s": 0.0, "cancel_asked": 0, "url": "", "detail": ""}


@dataclass(frozen=True)
class Taken:
    accepted: int
    duplicates: int  # a known job again, in a message of its own; redeliveries of a message count nowhere
    rejected: int


class Inbox:
    """Works on the store's connection, inside of the store's transactions."""

    def __init__(self, database: sqlite3.Connection, outbox: Outbox):
        self._database, self._outbox = database, outbox

    def take_in(self, arrivals: Sequence[Arrival], logs: str, at_s: float) -> Taken:
        sources = {source: self._source_id(source) for source in {arrival.source for arrival in arrivals}}
        counts = {True: 0, False: 0, None: 0}
        for arrival in arrivals:
            place = (sources[arrival.source], arrival.offset)
            if self._is_new(place):
                counts[self._take(arrival, place, logs, at_s)] += 1
        return Taken(accepted=counts[True], duplicates=counts[None], rejected=counts[False])

    def release(self, source: Source, next_offset: int, at_s: float) -> int:
        """Jobs below the committed offset may start: now they are told, and a cancel from before takes effect."""
        jobs = store_rows.select(self._database, "WHERE state = 'ACCEPTED' AND source = ? AND position < ? "
                                 "ORDER BY position", (self._source_id(source), next_offset))
        for job in jobs:
            self.enter(job, at_s)
        return len(jobs)

    def enter(self, job: Job, at_s: float, **told: Any) -> Job:
        """ACCEPTED -> QUEUED, or CANCELLED where somebody wished it before."""
        warnings, = self._database.execute("SELECT warnings FROM jobs WHERE number = ?", (job.number,)).fetchone()
        asked_at = self._wished(job.job_id)
        wished = job.cancel_asked or (asked_at is not None and at_s - asked_at < WISH_S)
        if wished:
            after = replace(job, state=State.CANCELLED, reason=Reason.CANCELLED, cancel_asked=True, changed_at=at_s)
        else:
            after = replace(job, state=State.QUEUED, changed_at=at_s)
        store_rows.write(self._database, job, after)
        warned = [(job, Draft("warning", {"message": text})) for text in json.loads(warnings)]
        self._outbox.tell_course([(job, Draft("accepted", told)), *warned,
                                  (after, _cancelled(asked_at) if wished else Draft("queued"))], at_s)
        return after

    def wish(self, job_id: str, at_s: float) -> None:
        """The job is to be cancelled when it comes."""
        self._database.execute("INSERT INTO wishes VALUES (?, ?) ON CONFLICT (job_id) DO UPDATE SET "
                               "asked_at = excluded.asked_at", (store_rows.clean(job_id), at_s))

    def withdraw(self, job_id: str) -> bool:
        return self._wished(store_rows.clean(job_id)) is not None

    def _wished(self, job_id: str) -> float | None:
        """When its cancel was asked. Who looks takes the wish away."""
        found = self._database.execute("DELETE FROM wishes WHERE job_id = ? RETURNING asked_at", (job_id,)).fetchall()
        return float(found[0][0]) if found else None

    def let_go(self, source: Source) -> list[str]:
        where = "WHERE state = 'ACCEPTED' AND source = ?1"
        source_id = self._source_id(source)
        jobs = store_rows.select(self._database, f"{where} ORDER BY position", (source_id,))
        self._database.execute("DELETE FROM inbox WHERE source = ?1 AND position IN "
                               f"(SELECT position FROM jobs {where})", (source_id,))
        self._database.execute(f"DELETE FROM jobs {where}", (source_id,))
        return [job.job_id for job in jobs]

    def waiting_sources(self) -> list[Source]:
        found = self._database.execute("SELECT cluster, incarnation, partition FROM sources WHERE id IN "
                                       "(SELECT source FROM jobs WHERE state = 'ACCEPTED') ORDER BY id")
        return [Source(*row) for row in found]

    def seen(self, place: Place | None) -> bool:
        """Whether the message at this place was delivered before; from now on it was. A person's word has no place."""
        return place is not None and not self._is_new((self._source_id(place[0]), place[1]))

    def add(self, new: NewJob, log_dir: str, at_s: float, **more: Any) -> bool:
        """An ACCEPTED job; False when its name is taken."""
        row = {**NEW_ROW, **{name: value for name, value in vars(new).items() if name != "warnings"},
               "warnings": as_json(new.warnings), "log_dir": log_dir, "accepted_at": at_s, "changed_at": at_s, **more}
        done = self._database.execute(
            f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) ON CONFLICT (job_id) DO NOTHING",
            list(row.values()))
        return done.rowcount > 0

    def _take(self, arrival: Arrival, place: tuple[int, int], logs: str, at_s: float) -> bool | None:
        """True: a new job. False: refused. None: a known job again."""
        new = arrival.verdict
        if isinstance(new, Rejected):
            self._outbox.refuse(arrival, new, at_s)
            return False
        if self.add(new, f"{logs}/{new.job_id}", at_s, source=place[0], position=place[1]):
            return True
        known = store_rows.by_id(self._database, new.job_id)
        if known is None or known.canonical != new.canonical:
            self._outbox.refuse(arrival, replace(CONFLICT, job_id=new.job_id), at_s)
            return False
        if known.state is not State.ACCEPTED:  # else its "accepted", which is still to be told, answers this one too
            self._outbox.tell(known, [Draft("duplicate")], at_s)
        return None

    def _is_new(self, place: tuple[int, int]) -> bool:
        return self._database.execute("INSERT INTO inbox VALUES (?, ?) ON CONFLICT DO NOTHING", place).rowcount > 0

    def _source_id(self, source: Source) -> int:
        key = (source.cluster, source.incarnation, source.partition)
        self._database.execute("INSERT INTO sources (cluster, incarnation, partition) VALUES (?, ?, ?) "
                               "ON CONFLICT DO NOTHING", key)
        return int(self._database.execute("SELECT id FROM sources WHERE cluster = ? AND incarnation = ? "
                                          "AND partition = ?", key).fetchone()[0])


def _cancelled(asked_at: float | None) -> Draft:
    return Draft("cancelled", {} if asked_at is None else {"asked_at": iso(asked_at)})
