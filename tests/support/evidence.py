"""Gathers what a run of the service left behind, from everywhere but its database."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

NONCE = b"ADAPTIVE_NERF_NONCE="
Place = tuple[str, int, int]  # topic, partition, offset


@dataclass(frozen=True)
class Told:
    """A record of the events topic or of the dead letters."""

    place: Place
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.value)


@dataclass(frozen=True)
class Mark:
    """A line of runs.txt, written by a runner itself."""

    word: str  # start, end, overlap
    job_id: str
    attempt: int
    pid: int
    at_ns: int  # CLOCK_BOOTTIME
    nonce: str
    code: int | None = None


@dataclass(frozen=True)
class Process:
    pid: int
    nonce: str
    started_ns: int  # CLOCK_BOOTTIME
    command: str


@dataclass
class Evidence:
    events: list[Told] = field(default_factory=list)
    dead_letters: list[Told] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    seen_ns: int = 0  # when the processes were looked for


def dump(broker: str, topic: str, wait_s: float = 10.0) -> list[Told]:
    """All that a topic holds now, partition by partition, in the broker's order."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": f"dump-{os.getpid()}-{time.monotonic_ns()}",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest", "log_level": 0,
                         "reconnect.backoff.ms": 20, "isolation.level": "read_committed"})
    try:
        known = consumer.list_topics(timeout=wait_s).topics.get(topic)
        if known is None or known.error is not None:
            return []
        open_ends = {}
        for partition in known.partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), wait_s)
            if high > low:
                open_ends[partition] = (low, high)
        consumer.assign([TopicPartition(topic, partition, low) for partition, (low, _) in open_ends.items()])
        return _read(consumer, {partition: high for partition, (_, high) in open_ends.items()}, wait_s)
    finally:
        consumer.close()


def _read(consumer: Consumer, ends: dict[int, int], wait_s: float) -> list[Told]:
    found: list[Told] = []
    deadline = time.monotonic() + wait_s
    while ends:
        assert time.monotonic() < deadline, f"the topic was not read to its end within {wait_s:g} s: {ends}"
        first = consumer.poll(0.2)  # consume(1000, 0.2) would wait for all of the 0.2 s
        for message in [first, *consumer.consume(1000, 0)] if first is not None else []:
            if message.error() is not None:
                continue
            deadline = time.monotonic() + wait_s
            found.append(Told((message.topic(), message.partition(), message.offset()), message.key(),
                              message.value() or b"", dict(message.headers() or [])))
            if message.offset() + 1 >= ends.get(message.partition(), 0):
                ends.pop(message.partition(), None)
    return sorted(found, key=lambda told: told.place)


def read_marks(runs: Path) -> list[Mark]:
    if not runs.exists():
        return []
    marks = []
    for line in runs.read_text().splitlines():
        word, job_id, attempt, pid, at_ns, nonce, *code = line.split()
        marks.append(Mark(word, job_id, int(attempt), int(pid), int(at_ns), nonce, int(code[0]) if code else None))
    return marks


def processes_of(place: Path) -> list[Process]:
    """Processes with an attempt's nonce that have to do with `place`: shims, runners and all that they forked."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            environment, line = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
            nonce = next((item for item in environment.split(b"\0") if item.startswith(NONCE)), b"")
            if not nonce or os.fsencode(place) not in environment + line:
                continue
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] in "ZX":
                continue
            started_ns = int(fields[19]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        except OSError:  # it ended while we looked
            continue
        found.append(Process(int(folder.name), os.fsdecode(nonce.removeprefix(NONCE)), started_ns,
                             line.replace(b"\0", b" ").decode(errors="replace").strip()))
    return found


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
