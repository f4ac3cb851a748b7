"""What one `view` job shares among all who look at it: the backend, the adaptation, the jobs, the time that is left."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adaptive_nerf.viewer.backend import Backend
from adaptive_nerf.viewer.jobs_feed import JobsFeed
from adaptive_nerf.viewer.session_words import SessionFacts
from adaptive_nerf.viewer.shared_adaptation import SharedAdaptation


@dataclass
class SessionState:
    """Pages get it, and call it from any thread."""

    job_id: str
    folder: Path  # of the job; nothing outside of it is written
    backend: Backend
    adaptation: SharedAdaptation
    jobs: JobsFeed
    limit_s: float = 0.0  # 0: none
    clock: Callable[[], float] = time.monotonic
    ended_by: str = ""
    why_it_ends: str = "The job was stopped."  # as people are told
    may_lose_unkept: bool = False  # whoever ended it was told that something would be lost
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _people: dict[int, str] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._opened_at = self._touched_at = self.clock()

    def came(self, client_id: int) -> str:
        """Somebody opened the page. Returns what they are called here."""
        with self._lock:
            self._people[client_id] = f"Person {next(self._numbers)}"
            return self._people[client_id]

    def left(self, client_id: int) -> None:
        with self._lock:
            who = self._people.pop(client_id, "")
        if who:
            self.adaptation.left(who)

    def name_of(self, client_id: int) -> str:
        with self._lock:
            return self._people.get(client_id, "")

    def touch(self) -> None:
        """Somebody moved the view or pressed something."""
        self._touched_at = self.clock()

    def facts(self) -> SessionFacts:
        now = self.clock()
        with self._lock:
            people = len(self._people)
        return SessionFacts(self.job_id, people, now - self._opened_at, now - self._touched_at, self.left_s())

    def left_s(self) -> float | None:
        """None: no time limit."""
        return max(0.0, self._opened_at + self.limit_s - self.clock()) if self.limit_s else None

    def end(self, who: str, told_of_unkept: bool = False) -> None:
        """End the viewer, for everybody. `told_of_unkept`: they know that what was not kept will be lost."""
        self.ended_by, self.why_it_ends, self.may_lose_unkept = who, f"{who} ended it.", told_of_unkept
        self._ended.set()

    def wait(self, seconds: float) -> bool:
        """True as soon as somebody has ended it."""
        return self._ended.wait(seconds)

    def close(self) -> None:
        self.adaptation.close()
        self.jobs.close()
