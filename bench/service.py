"""The job service on real Kafka, with a runner that does what it is told: how fast it accepts, starts, comes back.

Times are taken from outside: when an event can be read from its topic, when a runner writes its first line. `lost`,
`doubled` and `orphans` are counted over everything that the bench does, kills of the mediator among it, by a judge that
knows nothing of the service's database. Needs Java 17 and the jars of `make kafka`.
"""

import itertools
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from adaptive_nerf.common.command_line import run
from adaptive_nerf.common.say import say
from bench.harness import Figure, arguments, report
from kafka_utils import node
from tests.support.checker import Report
from tests.support.evidence import read_marks
from tests.support.malformed import corpus
from tests.support.waiting import wait_until
from tests.support.world import CLONE, Mediator, World, topic_for

BURST, RATE_HZ, RATE_S, QUEUED, LIVE, STARTS, CANCELS, IDLE_S = 10_000, 100, 10, 1000, 50, 15, 5, 10
DEATHS, JOBS_A_LIFE = 5, 20
BLOCKERS = ("block-1", "block-2")  # hold both slots, so that nothing else starts


def main() -> None:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, kafka(Path(folder) / "kafka") as broker:
        bench = Bench(Path(folder), broker)
        parts = (bench.idle, bench.starts, bench.cancels, bench.rate, bench.malformed, bench.burst, bench.restart,
                 bench.take_back, bench.deaths, bench.verdict)
        figures = [figure for part in parts for figure in part()]
    report("service", figures, options.json)


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    broker = node.Node(folder, CLONE / ".kafka" / "libs", node.free_port(),
                       run_by=("setpriv", "--pdeathsig", "KILL", "--"))  # it must not outlive us
    node.start(broker)
    try:
        yield broker.address
    finally:
        node.stop(folder)


class Watch:
    """When each event of a job could first be read from its topic; in a thread of its own."""

    def __init__(self, broker: str, topic: str):
        self.read_s: dict[tuple[str, str], float] = {}  # (job_id, event) -> steady clock
        self.at_s: dict[tuple[str, str], float] = {}  # by the mediator's own word, wall clock
        self.rejected = 0
        self._done = threading.Event()
        self._consumer = Consumer({"bootstrap.servers": broker, "group.id": f"watch-{topic}", "log_level": 0,
                                   "enable.auto.commit": False, "fetch.wait.max.ms": 5})
        self._consumer.assign([TopicPartition(f"{topic}.events", 0, 0)])
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._done.is_set():
            messages, now_s = self._consumer.consume(500, 0.005), time.monotonic()
            for message in messages:
                if message.error() is None:
                    self._note(json.loads(message.value() or b"{}"), now_s)

    def _note(self, event: dict[str, str], now_s: float) -> None:
        key = (event["job_id"], event["event"])
        self.rejected += event["event"] == "rejected"
        self.read_s.setdefault(key, now_s)
        self.at_s.setdefault(key, datetime.fromisoformat(event["at"]).timestamp())

    def wait(self, job_id: str, event: str, within_s: float = 60.0) -> float:
        return wait_until(lambda: self.read_s.get((job_id, event)), f"{event} of {job_id}", within_s, every_s=0.002)

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._consumer.close()


class Bench:
    def __init__(self, folder: Path, broker: str):
        self.folder, self.broker = folder, broker
        self.reports: list[Report] = []

    @contextmanager
    def world(self, name: str, *flags: object, finished: bool = True) -> Iterator[tuple[World, Watch]]:
        """A mediator in a world of its own; at the end the judge looks at all that happened in it."""
        say(f"{name} ...")
        world = World(self.folder / name, self.broker, topic_for(name))
        try:
            world.start(*flags)
            watch = Watch(self.broker, world.topic)
            try:
                yield world, watch
                self.reports.append(world.settled(finished, within_s=120))
            finally:
                watch.close()
        finally:
            world.close()

    @contextmanager
    def blocked(self, name: str) -> Iterator[tuple[World, Watch]]:
        with self.world(name, finished=False) as (world, watch):
            world.ledger.send_many(BLOCKERS, "fake: hang=1", priority=9)
            world.wait_running(*BLOCKERS)
            yield world, watch

    def idle(self) -> Iterator[Figure]:
        with self.world("idle") as (world, _):
            before_s, _ = usage(world.mediator)
            time.sleep(IDLE_S)
            after_s, memory_mib = usage(world.mediator)
        yield Figure("idle_cpu_pct", 100 * (after_s - before_s) / IDLE_S, "%", 1, "lower")
        yield Figure("rss_mib", memory_mib, "MiB", 120, "lower")

    def starts(self) -> Iterator[Figure]:
        """One job after the other, so that nothing waits for anything else."""
        with self.world("starts") as (world, watch):
            for number in range(STARTS):
                world.ledger.send(f"job-{number}", "fake: sleep=0")
                watch.wait(f"job-{number}", "succeeded")
            wall_minus_boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            begun_s = {mark.job_id: mark.at_ns / 1e9 + wall_minus_boot_s for mark in read_marks(world.logs / "runs.txt")
                       if mark.word == "start"}
            waits_ms = [1000 * (begun_s[name] - watch.at_s[name, "accepted"]) for name in begun_s]
        yield Figure("runner_start_p50_ms", statistics.median(waits_ms), "ms", 300, "lower")

    def cancels(self) -> Iterator[Figure]:
        with self.world("cancels") as (world, watch):
            waits_s = []
            for number in range(CANCELS):
                world.ledger.send(f"job-{number}", "fake: hang=1")
                watch.wait(f"job-{number}", "started")
                world.wait_running(f"job-{number}")
                asked_s = time.monotonic()
                world.mediator.ask(verb="cancel", job_id=f"job-{number}")
                waits_s.append(watch.wait(f"job-{number}", "cancelled") - asked_s)
        yield Figure("cancel_s", max(waits_s), "s", 1, "lower")

    def rate(self) -> Iterator[Figure]:
        with self.blocked("rate") as (world, watch):
            begin_s = time.monotonic()
            sent_s = {}
            for number in range(RATE_HZ * RATE_S):
                time.sleep(max(0.0, begin_s + number / RATE_HZ - time.monotonic()))
                sent_s[f"job-{number}"] = time.monotonic()
                world.ledger.send(f"job-{number}")
            waits_ms = [1000 * (watch.wait(name, "accepted") - at_s) for name, at_s in sent_s.items()]
        yield Figure("accepted_p99_ms", statistics.quantiles(waits_ms, n=100)[98], "ms", 250, "lower")

    def malformed(self) -> Iterator[Figure]:
        """A good job right behind the whole corpus."""
        with self.blocked("malformed") as (world, watch):
            for item in corpus():
                world.ledger.send_bytes(item.value, None, "refused", codes=item.codes, headers=item.headers)
            world.ledger.flush()
            sent_s = time.monotonic()
            world.ledger.send("after")
            waited_s = watch.wait("after", "accepted") - sent_s
            wait_until(lambda: watch.rejected >= len(corpus()), "each of the corpus is answered")
        yield Figure("accepted_after_malformed_s", waited_s, "s", 1, "lower")

    def burst(self) -> Iterator[Figure]:
        with self.blocked("burst") as (world, watch):
            begin_s = time.monotonic()
            names = [f"job-{number}" for number in range(BURST)]
            world.ledger.send_many(names)
            last_s = max(watch.wait(name, "accepted", 120) for name in names)
        yield Figure("burst_10000_s", last_s - begin_s, "s", 10, "lower")

    def restart(self) -> Iterator[Figure]:
        with self.blocked("restart") as (world, watch):
            world.ledger.send_many([f"job-{number}" for number in range(QUEUED)])
            wait_until(lambda: world.mediator.gauges().get("jobs_QUEUED") == QUEUED, "1,000 are queued")
            world.mediator.kill()
            world.ledger.send("while-dead")
            world.ledger.flush()
            begin_s = time.monotonic()
            world.launch()
            waited_s = watch.wait("while-dead", "accepted") - begin_s
            wait_until(world.mediator.ready, "it is ready")
        yield Figure("restart_to_accept_s", waited_s, "s", 3, "lower")

    def take_back(self) -> Iterator[Figure]:
        flags = ("--slots", LIVE)
        with self.world("take-back", *flags) as (world, watch):
            names = [f"job-{number}" for number in range(LIVE)]
            world.ledger.send_many(names, "fake: sleep=20")
            world.wait_running(*names, within_s=60)
            for name in names:
                watch.wait(name, "started")
            world.mediator.kill()
            begin_s = time.monotonic()
            world.launch(*flags)
            wait_until(lambda: world.mediator.gauges().get("slots_held") == LIVE, "all are taken back", every_s=0.005)
            waited_s = time.monotonic() - begin_s
        yield Figure("takeback_50_s", waited_s, "s", 2, "lower")

    def deaths(self) -> Iterator[Figure]:
        """Kills of the mediator while jobs pass; no figure of its own, the judge's are below."""
        with self.world("deaths") as (world, _):
            for death in range(DEATHS):
                world.ledger.send_many([f"job-{death}-{number}" for number in range(JOBS_A_LIFE)],
                                       "fake: sleep=0.1 fork=1")
                world.ledger.flush()
                world.wait_running(f"job-{death}-{death}")
                world.mediator.kill()
                world.start()
        yield from ()

    def verdict(self) -> Iterator[Figure]:
        faults = list(itertools.chain.from_iterable(report.faults for report in self.reports))
        for fault in faults[:20]:
            say(f"{fault.kind} {fault.name}: {fault.detail}")
        for name, kinds in (("lost", ("lost", "unfinished", "wrong")), ("doubled", ("doubled", "changed", "gap")),
                            ("orphans", ("orphan",))):
            yield Figure(name, sum(fault.kind in kinds for fault in faults), "", 0, "lower")
        yield Figure("judged_jobs", sum(report.jobs for report in self.reports), "")
        yield Figure("judged_runs", sum(report.runs for report in self.reports), "")


def usage(mediator: Mediator) -> tuple[float, float]:
    """(processor seconds, resident MiB) of the mediator alone."""
    fields = Path(f"/proc/{mediator.pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{mediator.pid}/status").read_text().splitlines())
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(status["VmRSS"].split()[0]) / 1024


if __name__ == "__main__":
    run(main)
