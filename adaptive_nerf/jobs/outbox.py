"""What the world is told: written with the change that it tells of, in one transaction; published later, in order.

Events of a job stay as its history. Of what repeats for as long as a job runs only the latest stay, and while nothing
can be published, the latest progress takes the place of the one before it: so a broker may be away for weeks.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adaptive_nerf.jobs.records import Arrival, Draft, Job, Outgoing, Rejected
from adaptive_nerf.jobs.states import State
from adaptive_nerf.jobs.store_rows import as_json, clean

VERSION = 1
EVENTS, DEAD_LETTERS = "events", "dead-letters"
PROGRESS = "progress"
PROGRESS_KEPT, OTHERS_KEPT = 20, 200  # of one kind of event, for one job
MOST_ERRORS = 50
INSERT = "INSERT INTO records (stream, key, value, headers, job, event) VALUES (?, ?, ?, ?, ?, ?)"


class Outbox:
    """Works on the store's connection, inside of the store's transactions."""

    def __init__(self, database: sqlite3.Connection, mediator_id: str):
        self._database, self._mediator_id = database, mediator_id

    # --- telling

    def tell(self, job: Job, drafts: Sequence[Draft], at_s: float, device: Sequence[str] = ()) -> None:
        """Events of a job, as it is now. `device`: what it ran on, where it holds that no more."""
        if len(drafts) == 1 and drafts[0].event == PROGRESS and self._told_instead(job, drafts[0], at_s):
            return
        self.tell_course([(job, draft) for draft in drafts], at_s, device)

    def tell_course(self, course: Sequence[tuple[Job, Draft]], at_s: float, device: Sequence[str] = ()) -> None:
        """What one job went through in one transaction."""
        if not course:
            return
        number = course[0][0].number
        (seq, log_dir), = self._database.execute(
            "UPDATE jobs SET seq = seq + ? WHERE number = ? RETURNING seq, log_dir", (len(course), number)).fetchall()
        first, at, records = seq - len(course) + 1, iso(at_s), []
        for own_seq, (job, draft) in enumerate(course, first):
            event = self._event(job, draft, at) | {"seq": own_seq, "log_dir": log_dir,
                                                   "device": list(device or job.slots)}
            records.append((EVENTS, job.job_id, as_json(event).encode(), "{}", number, draft.event))
        self._database.executemany(INSERT, records)
        for _, draft in course:
            self._forget_old(number, draft.event, seq)

    def refuse(self, arrival: Arrival, rejected: Rejected, at_s: float) -> None:
        """A message that is no job: its bytes as they came, and an event. The job_id that it bears may be another's."""
        place = {"topic": arrival.topic, "partition": arrival.source.partition, "offset": arrival.offset}
        errors = [dict(error) for error in rejected.errors[:MOST_ERRORS]]
        first = errors[0] if errors else {}
        headers = {"error_code": rejected.code, "json_pointer": first.get("field", ""),
                   "message": first.get("message", ""), "hint": first.get("hint", ""),
                   "mediator_id": self._mediator_id, **{f"source_{name}": str(value) for name, value in place.items()}}
        event = {"v": VERSION, "event_id": _new_id(), "seq": 0, "job_id": rejected.job_id, "op": None,
                 "attempt": 0, "event": "rejected", "state": State.REJECTED, "reason": rejected.code, "code": None,
                 "at": iso(at_s), "mediator_id": self._mediator_id, "device": [], "progress": None, "result": None,
                 "url": "", "log_dir": None, "errors": errors, "source": place}
        key = rejected.job_id or ""
        self._database.execute(INSERT, (DEAD_LETTERS, key, arrival.value, as_json(headers), None, "rejected"))
        self._database.execute(INSERT, (EVENTS, key, as_json(event).encode(), "{}", None, "rejected"))

    # --- publishing

    def unpublished(self, limit: int) -> list[Outgoing]:
        found = self._database.execute("SELECT number, stream, key, value, headers FROM records WHERE NOT published "
                                       "ORDER BY number LIMIT ?", (limit,))
        return [Outgoing(number, stream, key, value, json.loads(headers))
                for number, stream, key, value, headers in found]

    def published(self, numbers: Sequence[int]) -> None:
        given = [(number,) for number in numbers]
        self._database.executemany("DELETE FROM records WHERE number = ? AND job IS NULL", given)
        self._database.executemany("UPDATE records SET published = 1 WHERE number = ?", given)

    def size(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM records WHERE NOT published").fetchone()[0])

    def history(self, job_id: str) -> list[dict[str, Any]]:
        found = self._database.execute("SELECT value FROM records WHERE job = (SELECT number FROM jobs "
                                       "WHERE job_id = ?) ORDER BY number", (clean(job_id),))
        return [json.loads(value) for value, in found]

    # --- inside

    def _event(self, job: Job, draft: Draft, at: str) -> dict[str, Any]:
        return {"v": VERSION, "event_id": _new_id(), "seq": 0, "job_id": job.job_id, "op": job.op,
                "attempt": job.attempt, "event": draft.event, "state": job.state, "reason": job.reason,
                "code": job.code, "at": at, "mediator_id": self._mediator_id, "device": list(job.slots),
                "progress": job.progress, "result": job.result, "url": job.url, "log_dir": None, **draft.fields}

    def _told_instead(self, job: Job, draft: Draft, at_s: float) -> bool:
        """Too much progress waits already, and the job's last word was progress too: this takes its place."""
        latest = self._database.execute("SELECT number, event, value FROM records WHERE job = ? AND NOT published "
                                        "ORDER BY number DESC LIMIT ?", (job.number, PROGRESS_KEPT)).fetchall()
        if len(latest) < PROGRESS_KEPT or any(event != PROGRESS for _, event, _ in latest):
            return False
        number, _, value = latest[0]
        before: Mapping[str, Any] = json.loads(value)
        same = {name: before[name] for name in ("event_id", "seq", "log_dir")}
        self._database.execute("UPDATE records SET value = ? WHERE number = ?",
                               (as_json(self._event(job, draft, iso(at_s)) | same).encode(), number))
        return True

    def _forget_old(self, job: int, event: str, seq: int) -> None:
        kept = PROGRESS_KEPT if event == PROGRESS else OTHERS_KEPT
        if seq > kept:
            self._database.execute(
                "DELETE FROM records WHERE job = ?1 AND event = ?2 AND published AND number <= (SELECT number FROM "
                "records WHERE job = ?1 AND event = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)",
                (job, event, kept))


def _new_id() -> str:
    """Unique for ever, also where a state folder was restored from a copy."""
    return os.urandom(16).hex()


def iso(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds")
