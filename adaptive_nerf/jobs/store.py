"""Where the service keeps what it knows of jobs. Whatever it has said is on the disk; a kill at any time loses nothing.

Every change is one transaction together with the events that tell of it. Changes are compare-and-set on (state,
attempt): who was slower gets None, and looks again. Usable from several threads; other programs ask the mediator.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaptive_nerf.common import clock as clocks
from adaptive_nerf.common.atomic_files import make_folder
from adaptive_nerf.common.clock import Now
from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.jobs import store_rows
from adaptive_nerf.jobs.outbox import Outbox
from adaptive_nerf.jobs.records import Arrival, Draft, Job, NewJob, Outgoing, Source
from adaptive_nerf.jobs.states import LIVE, MOVES, TERMINAL, Reason, State
from adaptive_nerf.jobs.store_file import StoreFull, StoreLocked, explained, hold
from adaptive_nerf.jobs.store_intake import Inbox, Place, Taken
from adaptive_nerf.jobs.store_rows import by_id, by_number, in_states, select
from adaptive_nerf.jobs.store_schema import open_database

__all__ = ["Store", "StoreFull", "StoreLocked", "Taken"]
WAITING = (State.ACCEPTED, State.QUEUED, State.RETRY_WAIT)
RETRIED = (State.FAILED, State.CANCELLED)
LONGEST_NAME = 64
CHANGEABLE = {"reason", "code", "faults", "started_steady_s", "not_before_steady_s", "progress", "url", "detail",
              "result"}


class Store:
    def __init__(self, folder: Path, mediator_id: str, clock: Callable[[], Now] = clocks.now,
                 boot_id: Callable[[], str] = clocks.boot_id):
        self.path, self.mediator_id, self._clock = folder / "store.sqlite", mediator_id, clock
        self._lock = threading.RLock()
        make_folder(folder)
        with contextlib.ExitStack() as undone:
            self._held = undone.enter_context(hold(folder))
            with explained(self.path):
                self._database = undone.enter_context(contextlib.closing(open_database(self.path)))
            self._outbox = Outbox(self._database, mediator_id)
            self._inbox = Inbox(self._database, self._outbox)
            self._note_boot(boot_id())
            undone.pop_all()  # it is open: nothing of this is undone

    def close(self) -> None:
        with self._lock:
            self._database.close()
            self._held.close()

    # --- intake: see store_intake

    def take_in(self, arrivals: Sequence[Arrival], logs: str) -> Taken:
        with self._transaction() as now:
            taken = self._inbox.take_in(arrivals, logs, now.wall_s)
            failpoint("in_transaction")
        return taken

    def release(self, source: Source, next_offset: int) -> int:
        with self._transaction() as now:
            return self._inbox.release(source, next_offset, now.wall_s)

    def let_go(self, source: Source) -> list[str]:
        with self._transaction():
            return self._inbox.let_go(source)

    def accepted_sources(self) -> list[Source]:
        """Where jobs came from that wait for the commit of their offset."""
        with self._reading():
            return self._inbox.waiting_sources()

    # --- changes

    def move(self, job: Job, to: State, *drafts: Draft, **changes: Any) -> Job | None:
        """To another state. None = somebody was faster. Why it was where it was is forgotten, if nothing new is given.

        A job whose cancel was asked meanwhile does not wait for another attempt: it is cancelled instead.
        """
        if to not in MOVES.get(job.state, ()) or to is State.STARTING:
            raise ValueError(f"{job.job_id} may not go from {job.state} to {to}")
        with self._transaction() as now:
            before = self._unchanged(job)
            if before is None:
                return None
            if before.cancel_asked and to in (State.RETRY_WAIT, State.QUEUED):
                to, drafts = State.CANCELLED, (Draft("cancelled"),)
                changes |= {"reason": Reason.CANCELLED, "detail": ""}
            kept = {} if to in LIVE else {"slots": (), "url": ""}
            why = {"reason": None, "code": None, "detail": "", "result": None}
            after = replace(before, state=to, changed_at=now.wall_s, **(kept | why | _allowed(changes)))
            return self._write(before, after, drafts, now)

    def tell(self, job: Job, *drafts: Draft, **changes: Any) -> Job | None:
        """Something happened that leaves the state as it is. None = the job is elsewhere by now."""
        with self._transaction() as now:
            before = self._unchanged(job)
            return before and self._write(before, replace(before, **_allowed(changes)), drafts, now)

    def begin_attempt(self, job: Job, slots: tuple[str, ...], nonce: str, *drafts: Draft) -> Job | None:
        """QUEUED -> STARTING, counted. From here on there may be processes."""
        if job.state is not State.QUEUED:
            raise ValueError(f"{job.job_id} is {job.state}, and only what is queued is started")
        with self._transaction() as now:
            before = self._unchanged(job)
            return before and self._write(before, replace(
                before, state=State.STARTING, reason=None, code=None, attempt=before.attempt + 1, slots=slots,
                nonce=nonce, changed_at=now.wall_s, started_steady_s=now.steady_s, progress=None, url="", detail="",
                result=None), drafts, now)

    def ask_cancel(self, job_id: str, place: Place | None = None) -> Job | None:
        """The job as it is after that; None for one that is unknown, and will be cancelled when it comes.

        `place`: of the message that asks for it, so that it counts once, however often it is delivered.
        """
        with self._transaction() as now:
            job = by_id(self._database, job_id)
            if self._inbox.seen(place):
                return job
            if job is None or job.state is State.ACCEPTED:
                self._inbox.wish(job_id, now.wall_s)
            if job is None or job.state in TERMINAL:
                return job
            asked = replace(job, cancel_asked=True)
            if job.state not in (State.QUEUED, State.RETRY_WAIT):  # running, or not told of yet
                return self._write(job, asked, (), now)
            return self._write(job, replace(asked, state=State.CANCELLED, reason=Reason.CANCELLED, code=None, detail="",
                                            changed_at=now.wall_s), (Draft("cancelled"),), now)

    def ask_retry(self, job_id: str, place: Place | None = None) -> Job | None:
        """The job that does it: the same one, sooner, or a new one where it has ended, for an end never changes.

        Of one that is unknown: if it was to be cancelled when it comes, it is not any more.
        """
        with self._transaction() as now:
            job = by_id(self._database, job_id)
            if self._inbox.seen(place):
                return job
            if job is None:
                self._inbox.withdraw(job_id)
            if job is not None and job.state is State.RETRY_WAIT:
                return self._write(job, replace(job, not_before_steady_s=0.0), (), now)
            if job is None or job.state not in RETRIED:
                return job
            return self._again(job, now)

    def withdraw_cancel(self, job_id: str) -> bool:
        """Of a job that has not come yet; whether there was such a wish."""
        with self._transaction():
            return by_id(self._database, job_id) is None and self._inbox.withdraw(job_id)

    # --- reading

    def job(self, job_id: str) -> Job | None:
        with self._reading():
            return by_id(self._database, job_id)

    def jobs(self, states: Collection[State] | None = None, limit: int = 0, newest_first: bool = False) -> list[Job]:
        """`limit` 0 = all."""
        where = "" if states is None else f"WHERE {in_states(states)} "
        order = f"ORDER BY number {'DESC' if newest_first else 'ASC'} LIMIT ?"
        with self._reading():
            return select(self._database, where + order, (limit or -1,))

    def waiting(self, limit: int = 500) -> list[Job]:
        """Jobs that may start, in the order of their turn: at most `limit` light ones, as many for GPUs and without.

        Each class by itself, so that a long queue of one does not hide the others.
        """
        found = []
        with self._reading():
            for light, gpus in ((0, 0), (0, 1), (1, 0), (1, 1)):
                found += select(self._database, "WHERE state = 'QUEUED' AND light = ? AND min(gpus, 1) = ? "
                                "ORDER BY priority DESC, number LIMIT ?", (light, gpus, limit))
        return sorted(found, key=lambda job: (-job.priority, job.number))

    def due(self, steady_s: float, limit: int = 500) -> list[Job]:
        """Jobs whose next attempt has been waited for long enough."""
        with self._reading():
            return select(self._database, "INDEXED BY jobs_retrying WHERE state = 'RETRY_WAIT' AND "
                          "not_before_steady_s <= ? ORDER BY not_before_steady_s LIMIT ?", (steady_s, limit))

    def next_due_steady_s(self) -> float | None:
        """When the next of them is due; None when no job waits for another attempt."""
        found: float | None = self._one("SELECT min(not_before_steady_s) FROM jobs INDEXED BY jobs_retrying "
                                        "WHERE state = 'RETRY_WAIT'")
        return found

    def unfinished(self) -> dict[str, Path]:
        """Names and folders of all jobs that have not ended."""
        with self._reading():
            return {job_id: Path(log_dir) for job_id, log_dir in self._database.execute(
                f"SELECT job_id, log_dir FROM jobs WHERE NOT {in_states(TERMINAL)}")}

    def counts(self) -> dict[State, int]:
        with self._reading():
            return {State(state): count for state, count in
                    self._database.execute("SELECT state, count(*) FROM jobs GROUP BY state")}

    def backlog(self) -> int:
        return int(self._one(f"SELECT count(*) FROM jobs WHERE {in_states(WAITING)}"))

    def history(self, job_id: str) -> list[dict[str, Any]]:
        """What was told of the job: all but old progress."""
        with self._reading():
            return self._outbox.history(job_id)

    # --- outbox

    def unpublished(self, limit: int) -> list[Outgoing]:
        with self._reading():
            return self._outbox.unpublished(limit)

    def published(self, numbers: Sequence[int]) -> None:
        with self._transaction():
            self._outbox.published(numbers)

    def outbox_size(self) -> int:
        with self._reading():
            return self._outbox.size()

    # --- small facts

    def fact(self, name: str) -> str | None:
        found: str | None = self._one("SELECT max(value) FROM facts WHERE name = ?", name)
        return found

    def set_fact(self, name: str, value: str) -> None:
        with self._transaction():
            self._database.execute("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET "
                                   "value = excluded.value", (name, value))

    # --- inside

    def _write(self, before: Job, after: Job, drafts: Sequence[Draft], now: Now) -> Job:
        store_rows.write(self._database, before, after)
        self._outbox.tell(after, drafts, now.wall_s, after.slots or before.slots)
        return after

    def _unchanged(self, job: Job) -> Job | None:
        """The job as it is now, if it is where the caller believes it to be."""
        found = by_number(self._database, job.number)
        return found if found and (found.state, found.attempt) == (job.state, job.attempt) else None

    def _again(self, job: Job, now: Now) -> Job:
        """A new job that does the same as one that has ended; the one that was made before, if it has not ended."""
        root, log_dir = self._database.execute("SELECT coalesce(retry_of, job_id), log_dir FROM jobs WHERE number = ?",
                                               (job.number,)).fetchone()
        retries = select(self._database, "WHERE retry_of = ? ORDER BY number", (root,))
        if retries and retries[-1].state not in RETRIED:
            return retries[-1]
        for count in itertools.count(len(retries) + 1):
            suffix = f"-retry{count}"
            name = root[:LONGEST_NAME - len(suffix)] + suffix
            new = NewJob(name, job.op, job.canonical, job.priority, job.gpus, job.timeout_s, job.hang_timeout_s,
                         job.max_attempts, job.light, job.stay)
            if self._inbox.add(new, str(Path(log_dir).with_name(name)), now.wall_s, retry_of=root):
                break
        made, = select(self._database, "WHERE job_id = ?", (name,))
        return self._inbox.enter(made, now.wall_s, retry_of=root)

    def _one(self, query: str, *values: Any) -> Any:
        with self._reading():
            return self._database.execute(query, values).fetchone()[0]

    def _note_boot(self, boot_id: str) -> None:
        """The steady clock starts anew with the host: times of a former boot say nothing."""
        if self.fact("boot_id") == boot_id:
            return
        with self._transaction() as now:
            self._database.execute(f"UPDATE jobs SET started_steady_s = ? WHERE {in_states(LIVE)}", (now.steady_s,))
            self._database.execute("UPDATE jobs SET not_before_steady_s = 0 WHERE state = 'RETRY_WAIT'")
        self.set_fact("boot_id", boot_id)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, explained(self.path):
            yield

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Now]:
        with self._lock, explained(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._clock()
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise


def _allowed(changes: dict[str, Any]) -> dict[str, Any]:
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    return changes
