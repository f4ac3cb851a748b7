"""How a mediator was asked to run: validated once at the command line, passed down as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.jobs.paths import Roots

TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True)
class Topics:
    jobs: str

    def __post_init__(self) -> None:
        if not TOPIC.fullmatch(self.jobs) or self.jobs.strip(".") == "":
            raise BadUsage(f"--topic {self.jobs!r} is no name of a topic; letters, digits, '.', '_' and '-' make one")

    @property
    def control(self) -> str:
        return f"{self.jobs}.control"

    @property
    def events(self) -> str:
        return f"{self.jobs}.events"

    @property
    def dead_letters(self) -> str:
        return f"{self.jobs}.dead-letters"

    def of_stream(self, stream: str) -> str:
        """Where the records of an outbox stream go."""
        return {"events": self.events, "dead-letters": self.dead_letters}[stream]


@dataclass(frozen=True)
class Settings:
    topics: Topics
    group_id: str
    roots: Roots
    state: Path
    logs: Path
    runner: Path  # the program that runs one job
    devices: str | None  # None = all GPUs of the host
    slots: int | None  # CPU slots; None = 1
    light_slots: int
    http: str  # "" = none
    grace_s: float  # between the polite stop of a job and the kill
    retry_base_s: float
    backlog: int  # no new messages are taken while more jobs than this wait
    at_stop: str  # what becomes of running jobs: "leave", "drain" or "stop"

    def __post_init__(self) -> None:
        if not self.runner.is_file():
            raise BadUsage(f"--runner {self.runner} is no file")
        if not self.group_id.strip():
            raise BadUsage("--group_id is empty; give a name, as in nerf-mediator")
        least = {"--grace": (self.grace_s, 0), "--retry-base": (self.retry_base_s, 0), "--backlog": (self.backlog, 1),
                 "--light-slots": (self.light_slots, 0)}
        for flag, (value, smallest) in least.items():
            if not value >= smallest:
                raise BadUsage(f"{flag} {value:g}: give {smallest} or more")
