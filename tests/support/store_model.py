"""What the store should do, said without a database: dictionaries and plain rules. Slow, short and easy to believe."""

from dataclasses import dataclass, field, replace
from typing import Any

from adaptive_nerf.jobs.states import LIVE, TERMINAL, State


@dataclass(frozen=True)
class Message:
    """What a sender wrote. `says` None = no job at all; it may bear the name of one nevertheless."""

    job_id: str
    says: str | None
    priority: int = 5
    gpus: int = 1
    light: bool = False


@dataclass(frozen=True)
class Known:
    """A job as the world should see it."""

    job_id: str
    message: Message
    state: State
    attempt: int = 0
    slots: tuple[str, ...] = ()
    cancel_asked: bool = False
    place: tuple[int, int] | None = None  # where it came from
    root: str = ""  # the first of a line of retries
    due_s: float = 0.0


@dataclass
class Model:
    jobs: dict[str, Known] = field(default_factory=dict)  # in the order of acceptance
    inbox: set[tuple[int, int]] = field(default_factory=set)
    wishes: set[str] = field(default_factory=set)
    refused: int = 0
    events: dict[str, list[tuple[str, State]]] = field(default_factory=dict)  # (name, state) of all that was told

    # --- intake

    def take(self, place: tuple[int, int], message: Message) -> str:
        if place in self.inbox:
            return "known"
        self.inbox.add(place)
        job = self.jobs.get(message.job_id)
        if message.says is None or (job is not None and job.message != message):
            self.refused += 1
            return "rejected"
        if job is None:
            self.jobs[message.job_id] = Known(message.job_id, message, State.ACCEPTED, place=place)
            return "accepted"
        if job.state is not State.ACCEPTED:
            self._tell(job, "duplicate")
        return "duplicates"

    def release(self, partition: int, before: int) -> None:
        for job in [job for job in self.jobs.values() if job.state is State.ACCEPTED]:
            if job.place is not None and job.place[0] == partition and job.place[1] < before:
                self._enter(job)

    def let_go(self, partition: int) -> list[str]:
        gone = [job for job in self.jobs.values()
                if job.state is State.ACCEPTED and job.place is not None and job.place[0] == partition]
        for job in gone:
            del self.jobs[job.job_id]
            self.inbox.discard(job.place)
        return [job.job_id for job in sorted(gone, key=lambda job: job.place)]

    def _enter(self, job: Known) -> None:
        self._tell(job, "accepted")
        if job.job_id in self.wishes:
            self.wishes.remove(job.job_id)
            self.change(job, "cancelled", state=State.CANCELLED, cancel_asked=True)
        else:
            self.change(job, "queued", state=State.QUEUED)

    # --- what happens to jobs

    def change(self, job: Known, event: str | None, **changes: Any) -> None:
        changed = replace(job, **changes)
        if changed.state not in LIVE:
            changed = replace(changed, slots=())
        self.jobs[job.job_id] = changed
        if event:
            self._tell(changed, event)

    def cancel(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is None or job.state is State.ACCEPTED:
            self.wishes.add(job_id)
        if job is None or job.state in TERMINAL:
            return
        if job.state in (State.QUEUED, State.RETRY_WAIT):
            self.change(job, "cancelled", state=State.CANCELLED, cancel_asked=True)
        else:
            self.change(job, None, cancel_asked=True)

    def retry(self, job_id: str) -> str | None:
        """The name of the job that does it."""
        job = self.jobs.get(job_id)
        if job is None:
            self.wishes.discard(job_id)
            return None
        if job.state is State.RETRY_WAIT:
            self.change(job, None, due_s=0.0)
        if job.state not in (State.FAILED, State.CANCELLED):
            return job_id
        root = job.root or job.job_id
        line = [other for other in self.jobs.values() if other.root == root]
        if line and line[-1].state not in (State.FAILED, State.CANCELLED):
            return line[-1].job_id
        count = len(line) + 1
        while f"{root}-retry{count}" in self.jobs:
            count += 1
        name = f"{root}-retry{count}"
        self.jobs[name] = Known(name, job.message, State.ACCEPTED, root=root)
        self._enter(self.jobs[name])
        return name

    def waiting(self) -> list[str]:
        numbers = {job_id: number for number, job_id in enumerate(self.jobs)}
        found = [job for job in self.jobs.values() if job.state is State.QUEUED]
        return [job.job_id for job in sorted(found, key=lambda job: (-job.message.priority, numbers[job.job_id]))]

    def _tell(self, job: Known, event: str) -> None:
        self.events.setdefault(job.job_id, []).append((event, job.state))
