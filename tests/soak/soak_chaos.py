"""Everything at once, at random, for SOAK_MINUTES (15), and until each has come once: deaths of every process, a broker
that dies and freezes, bad messages, cancels. At the end nothing is lost, doubled, or left behind. SOAK_SEED repeats a
run."""

import contextlib
import json
import os
import random
import signal
import time

import pytest

from tests.support.evidence import processes_of, read_marks
from tests.support.failpoints import OF_A_MEDIATOR
from tests.support.malformed import corpus
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(7200)
MINUTES = float(os.environ.get("SOAK_MINUTES", "15"))
SEED = int(os.environ.get("SOAK_SEED", str(time.time_ns() % 10**6)))
LABELS = ["sleep=0", "sleep=0.5 steps=5", "exit=70", "exit=65", "exit=70 fail_attempts=1", "signal=11", "fork=5",
          "exit=69 fail_attempts=2", "flood_mb=20", "ignore_term=1 sleep=1", "sleep=1 spin=1", "exit=76"]
VICTIM = "victim"  # runs for a while, so that what is done to it is done while it runs


class Chaos:
    def __init__(self, world, kafka, seed):
        self.world, self.kafka, self.random = world, kafka, random.Random(seed)
        self.sent = 0
        self.bad = corpus()
        self.actions = {
            self.send_some: 30, self.send_bad: 5, self.cancel_one: 8, self.hurt_a_runner: 4, self.hurt_a_shim: 4,
            self.kill_the_mediator: 3, self.die_at_a_failpoint: 3, self.leave_and_return: 2, self.kill_the_broker: 1,
            self.freeze_the_broker: 1}
        self.undone = set(self.actions)

    def act(self):
        (action,) = self.random.choices(list(self.actions), list(self.actions.values()))
        action()
        self.undone.discard(action)

    def next_id(self, kind="job"):
        self.sent += 1
        return f"{kind}-{self.sent}"

    def send_some(self):
        for _ in range(self.random.randint(1, 8)):
            job_id, label = self.next_id(), self.random.choice(LABELS)
            self.world.ledger.send(job_id, f"fake: {label}", priority=self.random.randint(0, 9))
            if self.random.random() < 0.1:
                self.world.ledger.send(job_id, "fake: sleep=9", "refused", priority=0)
        self.world.ledger.send(self.next_id(VICTIM), "fake: sleep=3 fork=2", priority=8)
        time.sleep(self.random.random())

    def send_bad(self):
        for item in self.random.sample(self.bad, 5):
            self.world.ledger.send_bytes(item.value, None, "refused", codes=item.codes, headers=item.headers)

    def cancel_one(self):
        job_id = f"{self.random.choice(['job', VICTIM])}-{self.random.randint(1, self.sent + 3)}"
        if self.random.random() < 0.5:
            with contextlib.suppress(OSError, ValueError):
                self.world.mediator.ask(verb="cancel", job_id=job_id)
        else:
            wish = json.dumps({"verb": "cancel", "job_id": job_id}).encode()
            self.world.ledger.send_bytes(wish, None, "wish", topic=f"{self.world.topic}.control")

    def young_victim(self):
        """A start that has at least a second left to run."""
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        marks = read_marks(self.world.logs / "runs.txt")
        ended = {mark.nonce for mark in marks if mark.word == "end"}
        return next((mark for mark in reversed(marks) if mark.word == "start" and mark.job_id.startswith(VICTIM)
                     and mark.nonce not in ended and now_ns - mark.at_ns < 1_500_000_000), None)

    def hurt_a_runner(self):
        if victim := self.young_victim():
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim.pid, self.random.choice([signal.SIGKILL, signal.SIGSEGV]))

    def hurt_a_shim(self):
        if victim := self.young_victim():
            for process in processes_of(self.world.folder):
                if process.nonce == victim.nonce and process.pid != victim.pid and "shim" in process.command:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)

    def kill_the_mediator(self):
        self.world.mediator.kill()
        self.world.launch()

    def die_at_a_failpoint(self):
        self.world.mediator.kill()
        self.world.launch(failpoint=f"{self.random.choice(OF_A_MEDIATOR)}:{self.random.randint(1, 5)}")

    def leave_and_return(self):
        if self.world.mediator.alive():
            self.world.mediator.leave()
        self.world.launch()

    def kill_the_broker(self):
        self.kafka.kill()
        time.sleep(3 * self.random.random())
        self.kafka.start()

    def freeze_the_broker(self):
        self.kafka.freeze()
        time.sleep(20 * self.random.random())
        self.kafka.thaw()


def test_chaos(fragile):
    world, kafka = fragile
    chaos = Chaos(world, kafka, SEED)
    world.start()
    until_s = time.monotonic() + 60 * MINUTES
    while time.monotonic() < until_s or chaos.undone:
        chaos.act()
        if not world.mediator.alive():  # it met its failpoint
            assert world.mediator.process.returncode == -signal.SIGKILL, f"seed {SEED}: {world.mediator.said()}"
            world.launch()
    world.mediator.kill()
    world.launch()
    wait_until(world.mediator.ready, f"it is ready again (seed {SEED})", 120)
    report = world.must_be_clean(within_s=900)
    print(f"seed {SEED}: {report}, {len(world.lives)} lives of the mediator")  # noqa: T201
    assert report.jobs > 0
