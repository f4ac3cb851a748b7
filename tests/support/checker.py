"""The judge of a run of the service: what the broker acknowledged against what became of it.

It knows nothing of the database. Each finding names a kind of fault and the job (or the message's place):

    lost        an acknowledged message that nobody answered, or a job that succeeded without having run
    doubled     overlapping attempts, an attempt started twice, two successes, a run after the end, two answers
    orphan      a process of an attempt that ended more than 5 s ago
    unfinished  an accepted job without a terminal event
    changed     an event that takes a job out of its terminal state, or into another one
    gap         event numbers of a job that are not 1, 2, 3, ... in the broker's order
    wrong       a message that was answered as something else than it is, or a dead letter whose bytes were changed
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.evidence import Evidence, Mark, Place, Told
from tests.support.ledger import Entry

TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED"}
OUTLIVES_NS = 5_000_000_000
Events = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Fault:
    kind: str
    name: str
    detail: str


@dataclass(frozen=True)
class Report:
    faults: tuple[Fault, ...]
    jobs: int
    runs: int

    def count(self, *kinds: str) -> int:
        return sum(fault.kind in kinds for fault in self.faults)

    def __str__(self) -> str:
        counts = ", ".join(f"{kind} {count}" for kind, count in Counter(fault.kind for fault in self.faults).items())
        shown = "".join(f"\n  {fault.kind} {fault.name}: {fault.detail}" for fault in self.faults[:40])
        return f"{self.jobs} jobs, {self.runs} runs; {counts or 'no fault'}{shown}"


def check(entries: Sequence[Entry], evidence: Evidence, finished: bool = True) -> Report:
    """`finished`: every job should have reached its end by now."""
    events = by_job(evidence.events)
    faults = [*answers(entries, events, evidence.dead_letters), *acceptances(events),
              *repeats(entries, evidence.events), *lives(events), *numbering(evidence.events), *runs(evidence.marks),
              *true_ends(events, evidence.marks), *orphans(events, evidence)]
    if finished:
        faults += unfinished(events)
    return Report(tuple(faults), len(events), sum(mark.word == "start" for mark in evidence.marks))


def distinct(events: Iterable[Told]) -> Iterator[dict[str, Any]]:
    """Publishing is at least once: what bears a known event_id is the same event again."""
    seen = set()
    for told in events:
        event = told.event
        if event["event_id"] not in seen:
            seen.add(event["event_id"])
            yield event


def by_job(events: Iterable[Told]) -> Events:
    """Of messages that became jobs; a refusal may bear the name of one, but is no part of its life."""
    jobs: Events = defaultdict(list)
    for event in distinct(events):
        if event["state"] != "REJECTED":
            jobs[event["job_id"]].append(event)
    return dict(jobs)


def answers(entries: Sequence[Entry], events: Events, dead_letters: Sequence[Told]) -> Iterator[Fault]:
    dead = {(*source(told), told.value): told for told in dead_letters}
    accepted = {job_id for job_id, told in events.items() if any(event["event"] == "accepted" for event in told)}
    unnamed = Counter(event["event"] for told in events.values() for event in told)["accepted"] - len(
        accepted & {entry.job_id for entry in entries})
    for entry in entries:
        place = f"{entry.topic}[{entry.partition}]@{entry.offset}"
        letter = dead.get((*place_of(entry), entry.value))
        if entry.expect == "wish" and letter is None:
            continue
        if entry.job_id is None and letter is None and entry.expect != "refused" and unnamed > 0:
            unnamed -= 1
            continue
        if letter is None and entry.expect == "refused":
            same_place = any(key[:3] == place_of(entry) for key in dead)
            yield Fault("wrong" if same_place or entry.job_id in accepted else "lost", entry.job_id or place,
                        "its dead letter holds other bytes" if same_place else f"no dead letter for {place}")
        elif letter is None and entry.job_id not in accepted:
            yield Fault("lost", entry.job_id or place, f"acknowledged at {place}, and neither accepted nor refused")
        elif letter is not None:
            yield from judged(entry, letter)


def judged(entry: Entry, letter: Told) -> Iterator[Fault]:
    code = letter.headers.get("error_code", b"").decode()
    if entry.expect in ("job", "repeat", "wish"):
        yield Fault("wrong", entry.job_id or "-", f"a good message was refused: {code}")
    elif entry.codes and code not in entry.codes:
        yield Fault("wrong", entry.job_id or f"@{entry.offset}",
                    f"refused as {code or 'nothing'}, not as {' or '.join(sorted(entry.codes))}: {entry.value[:80]!r}")


def source(letter: Told) -> Place:
    """Where a dead letter says that its message lay."""
    topic, *numbers = (letter.headers.get(f"source_{name}", b"").decode() for name in ("topic", "partition", "offset"))
    partition, offset = (int(text) if text.isdigit() else -1 for text in numbers)
    return topic, partition, offset


def acceptances(events: Events) -> Iterator[Fault]:
    for job_id, told in events.items():
        ids = {event["event_id"] for event in told if event["event"] == "accepted"}
        if len(ids) > 1:
            yield Fault("doubled", job_id, f"accepted {len(ids)} times: {sorted(ids)}")


def repeats(entries: Sequence[Entry], told: Iterable[Told]) -> Iterator[Fault]:
    """One answer for each message: a redelivery must not make another."""
    sent, places = Counter(entry.job_id for entry in entries), Counter(map(place_of, entries))
    again: Counter[str] = Counter()
    refused: Counter[Place] = Counter()
    for event in distinct(told):
        if event["event"] == "duplicate":
            again[event["job_id"]] += 1
        elif event["event"] == "rejected":
            refused[tuple(event["source"][name] for name in ("topic", "partition", "offset"))] += 1
    for job_id, times in again.items():
        if times > max(0, sent[job_id] - 1):
            yield Fault("doubled", job_id, f"told as a repeat {times} times, and sent {sent[job_id]} times")
    for place, times in refused.items():
        if times > places[place]:
            yield Fault("doubled", str(place), f"refused {times} times, and sent {places[place]} times")


def place_of(entry: Entry) -> Place:
    return entry.topic, entry.partition, entry.offset


def unfinished(events: Events) -> Iterator[Fault]:
    for job_id, told in events.items():
        if not any(event["state"] in TERMINAL for event in told):
            yield Fault("unfinished", job_id, f"was last {told[-1]['state']}")


def lives(events: Events) -> Iterator[Fault]:
    """A terminal state never changes, attempts never go back, and an end says why."""
    for job_id, told in events.items():
        end: dict[str, Any] | None = None
        attempt = 0
        for event in sorted(told, key=lambda event: event["seq"]):
            if end is not None and event["state"] != end["state"]:
                yield Fault("changed", job_id, f"{end['state']} at {end['seq']}, {event['state']} at {event['seq']}")
            if event["attempt"] < attempt:
                yield Fault("changed", job_id, f"attempt {event['attempt']} after {attempt} at {event['seq']}")
            attempt = max(attempt, event["attempt"])
            if end is None and event["state"] in TERMINAL:
                end = event
                if not event.get("reason"):
                    yield Fault("changed", job_id, f"ended {event['state']} without a reason")


def numbering(events: Sequence[Told]) -> Iterator[Fault]:
    last: Counter[str] = Counter()
    for event in distinct(events):
        job_id, seq = event["job_id"], event["seq"]
        if job_id is None or event["state"] == "REJECTED":
            continue
        if seq != last[job_id] + 1:
            yield Fault("gap", job_id, f"event {seq} ({event['event']}) came after {last[job_id]}")
        last[job_id] = max(last[job_id], seq)


def runs(marks: Sequence[Mark]) -> Iterator[Fault]:
    starts: dict[tuple[str, int], set[str]] = defaultdict(set)
    good = Counter(mark.job_id for mark in marks if mark.word == "end" and mark.code == 0)
    begun: dict[str, int] = {}
    for mark in sorted(marks, key=lambda mark: mark.at_ns):
        if mark.word == "overlap":
            yield Fault("doubled", mark.job_id, f"attempt {mark.attempt} (pid {mark.pid}) began beside a living one")
        elif mark.word == "start":
            starts[mark.job_id, mark.attempt].add(f"{mark.nonce} pid {mark.pid}")
            if mark.attempt < begun.get(mark.job_id, 0):
                yield Fault("doubled", mark.job_id, f"attempt {mark.attempt} began after {begun[mark.job_id]}")
            begun[mark.job_id] = max(begun.get(mark.job_id, 0), mark.attempt)
    yield from crossing(marks)
    for (job_id, attempt), who in starts.items():
        if len(who) > 1:
            yield Fault("doubled", job_id, f"attempt {attempt} was started {len(who)} times: {sorted(who)}")
    for job_id, times in good.items():
        if times > 1:
            yield Fault("doubled", job_id, f"ran to success {times} times")


def crossing(marks: Sequence[Mark]) -> Iterator[Fault]:
    """A run that begins before an earlier one wrote its end. One that was killed writes none; there the lock tells."""
    spans: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    ends = {(mark.nonce, mark.pid): mark.at_ns for mark in marks if mark.word == "end"}
    for mark in marks:
        if mark.word == "start":
            spans[mark.job_id].append((mark.at_ns, ends.get((mark.nonce, mark.pid), mark.at_ns), mark.attempt))
    for job_id, known in spans.items():
        known.sort()
        for (_, end_ns, attempt), (start_ns, _, other) in itertools.pairwise(known):
            if start_ns < end_ns:
                yield Fault("doubled", job_id, f"attempt {other} began {(end_ns - start_ns) / 1e9:.3f} s before "
                                               f"the end of attempt {attempt}")


def true_ends(events: Events, marks: Sequence[Mark]) -> Iterator[Fault]:
    """Success is told only of a run that ended with 0, and of one that did nothing else is told for long."""
    good = {(mark.job_id, mark.attempt) for mark in marks if mark.word == "end" and mark.code == 0}
    started = {(mark.job_id, mark.attempt) for mark in marks if mark.word == "start"}
    for job_id, told in events.items():
        end = next((event for event in told if event["state"] in TERMINAL), None)
        if end is None:
            continue
        if end["state"] == "SUCCEEDED" and (job_id, end["attempt"]) not in good:
            yield Fault("lost", job_id, f"is said to have succeeded, but attempt {end['attempt']} did not")
        later = [attempt for name, attempt in started if name == job_id and attempt > end["attempt"]]
        if later:
            yield Fault("doubled", job_id, f"ended with attempt {end['attempt']}, but {max(later)} was started")
        if end["state"] == "FAILED" and (job_id, end["attempt"]) in good:
            yield Fault("lost", job_id, f"ran to success in attempt {end['attempt']}, and is said to have failed")


def orphans(events: Events, evidence: Evidence) -> Iterator[Fault]:
    """Processes that outlive the end of their runner, or of their job, by more than 5 s."""
    over = {mark.nonce: mark.at_ns for mark in evidence.marks if mark.word == "end"}
    owners = {mark.nonce: mark.job_id for mark in evidence.marks}
    for process in evidence.processes:
        job_id = owners.get(process.nonce)
        ended = process.nonce in over and evidence.seen_ns - over[process.nonce] > OUTLIVES_NS
        settled = any(event["state"] in TERMINAL for event in events.get(job_id or "", ()))
        old = evidence.seen_ns - process.started_ns > OUTLIVES_NS
        if ended or (old and (settled or job_id is None)):
            yield Fault("orphan", job_id or process.nonce, f"pid {process.pid} lives on: {process.command[-120:]}")
