"""Thousands of random lives of jobs, through the store, the scheduler and the retry rules, against a model of them."""

import json
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adaptive_nerf.jobs import retries, scheduling
from adaptive_nerf.jobs.attempt_files import Ended
from adaptive_nerf.jobs.records import Arrival, Draft, NewJob, Rejected, Source
from adaptive_nerf.jobs.scheduling import Slot
from adaptive_nerf.jobs.states import LIVE, TERMINAL, Reason, State
from adaptive_nerf.jobs.store import Store
from tests.support.store_model import Message, Model
from tests.support.stores import Clock

MEMORY = Path("/dev/shm")
ASKED = {  # priority, gpus, light
    "a": (5, 1, False), "b": (9, 1, False), "c": (5, 0, False), "d": (5, 2, False), "e": (9, 3, False),
    "f": (5, 1, True), "g": (5, 0, True), "h": (5, 1, True), "a-retry1": (5, 1, False)}
NAMES = [*ASKED]
HOSTS = [
    [Slot("cpu-0", "cpu", "")],
    [Slot("cpu-0", "cpu", ""), Slot("cpu-1", "cpu", "")],
    [Slot("GPU-a", "gpu", "GPU-a", 9000), Slot("GPU-b", "gpu", "GPU-b", 8000), Slot("cpu-0", "cpu", "")]]
LIGHT_SLOTS = 2
PARTITIONS = [Source("cluster", "first", 0), Source("cluster", "first", 1), Source("cluster", "second", 0)]

messages = st.builds(lambda name, says: Message(name, says, *ASKED[name]), st.sampled_from(NAMES),
                     st.sampled_from(["one"] * 10 + ["two", None]))
partitions = st.integers(0, len(PARTITIONS) - 1)
ends = st.one_of(st.none(), st.just(Ended.never("no memory for a process")), st.builds(
    Ended, st.sampled_from([0, 0, 64, 69, 70, 75, 76, 78, 1, 255, None]), st.sampled_from([None, None, 9, 11, 15]),
    st.none(), st.integers(0, 1), st.just(0)))


def arrival(partition, offset, message):
    if message.says is None:
        verdict = Rejected("not_json", ({"field": "", "message": "is not JSON", "hint": ""},), message.job_id)
    else:
        verdict = NewJob(message.job_id, "train", json.dumps(vars(message)), message.priority, message.gpus,
                         light=message.light)
    return Arrival(PARTITIONS[partition], offset, b"bytes", verdict, "topic")


class Lives(RuleBasedStateMachine):
    """The log, a supervisor without processes, and a broker that is told of events; the model beside them."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="adaptive-nerf-lives-", dir=MEMORY if MEMORY.is_dir() else None))
        self.model, self.clock, self.boot = Model(), Clock(), 0
        self.folder = self.root / "0"
        self.store = self.opened()
        self.log = defaultdict(list)  # all messages by partition; the offset is the place in the list
        self.published = []
        self.ended = {}
        self.stale = []

    def opened(self):
        return Store(self.folder, "m", self.clock, lambda: f"boot {self.boot}")

    def teardown(self):
        try:
            self.check_events()
        finally:
            self.store.close()
            shutil.rmtree(self.root)

    @initialize(host=st.sampled_from(HOSTS), sent=st.lists(messages, min_size=3, max_size=8))
    def on(self, host, sent):
        self.host = host
        self.receive(0, sent, 0)
        self.commit(0, 0)

    def live(self):
        return self.store.jobs(LIVE)

    # --- messages

    @rule(partition=partitions, sent=st.lists(messages, max_size=4), back=st.sampled_from([0, 0, 1, 5, 100]))
    def receive(self, partition, sent, back):
        """New messages, behind some that were delivered before: a consumer that was rewound gets them again."""
        log = self.log[partition]
        first, end = max(0, len(log) - back), len(log) + len(sent)
        log += sent
        batch = list(enumerate(log))[first:end]
        expected = Counter(self.model.take((partition, offset), message) for offset, message in batch)
        taken = self.store.take_in([arrival(partition, offset, message) for offset, message in batch], "/logs")
        assert vars(taken) == {name: expected[name] for name in ("accepted", "duplicates", "rejected")}

    @rule(partition=partitions, back=st.sampled_from([0, 0, 0, 2]))
    def commit(self, partition, back):
        offset = max(0, len(self.log[partition]) - back)
        self.store.release(PARTITIONS[partition], offset)
        self.model.release(partition, offset)

    @rule(partition=partitions)
    def fence(self, partition):
        assert self.store.let_go(PARTITIONS[partition]) == self.model.let_go(partition)

    # --- what people ask

    @rule(name=st.sampled_from([*NAMES, "b-retry1", "nobody"]))
    def cancel(self, name):
        self.store.ask_cancel(name)
        self.model.cancel(name)

    @rule(name=st.sampled_from([*NAMES, "b-retry1", "nobody"]))
    def retry(self, name):
        job = self.store.ask_retry(name)
        assert (job and job.job_id) == self.model.retry(name)

    # --- the supervisor

    @precondition(lambda self: self.model.waiting())
    @rule(run=st.booleans())
    def start_waiting(self, run):
        waiting, held = self.store.waiting(), {name for job in self.live() for name in job.slots}
        assert [job.job_id for job in waiting] == self.model.waiting()
        for job in waiting:
            if scheduling.impossible(job, self.host, LIGHT_SLOTS):
                assert self.store.move(job, State.FAILED, Draft("failed"), reason=Reason.NO_DEVICE)
                self.model.change(self.model.jobs[job.job_id], "failed", state=State.FAILED)
        for placement in scheduling.choose(waiting, held, self.host, LIGHT_SLOTS):
            names = tuple(slot.name for slot in placement.slots)
            begun = self.store.begin_attempt(placement.job, names, "nonce", Draft("starting"))
            known = self.model.jobs[placement.job.job_id]
            assert begun.attempt == known.attempt + 1
            self.model.change(known, "starting", state=State.STARTING, attempt=known.attempt + 1, slots=names)
            self.stale.append(placement.job)
            if run:
                self.move_on(begun, State.RUNNING)

    def move_on(self, job, to):
        reason = Reason.HUNG if to is State.STOPPING else None
        assert self.store.move(job, to, Draft("moved"), reason=reason).state is to
        self.model.change(self.model.jobs[job.job_id], "moved", state=to)
        self.stale.append(job)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), to=st.sampled_from([State.RUNNING, State.STOPPING]))
    def go_on(self, data, to):
        job = data.draw(st.sampled_from(self.live()))
        if job.state in {State.RUNNING: (State.STARTING,), State.STOPPING: (State.STARTING, State.RUNNING)}[to]:
            self.move_on(job, to)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), ended=ends, cancel_between=st.sampled_from([False, False, False, True]))
    def end(self, data, ended, cancel_between):
        """A cancel may come after the verdict and before it is written; it counts nevertheless."""
        self.over(data.draw(st.sampled_from(self.live())), ended, cancel_between)

    @precondition(lambda self: self.model.waiting())
    @rule(ended=ends)
    def live_on(self, ended):
        """A whole attempt in one step, so that random lives get far."""
        self.start_waiting(True)
        for job in self.live()[:2]:
            self.over(job, ended, False)

    def over(self, job, ended, cancel_between):
        stop_reason = Reason.CANCELLED if job.cancel_asked else job.reason if job.state is State.STOPPING else None
        verdict = retries.verdict(job, ended, stop_reason, 0.5)
        if cancel_between:
            self.cancel(job.job_id)
        asked = self.model.jobs[job.job_id].cancel_asked
        due_s = self.clock.steady_s + verdict.delay_s
        after = self.store.move(job, verdict.state, Draft("over"), reason=verdict.reason, faults=verdict.faults,
                                code=verdict.code, not_before_steady_s=due_s)
        lost_to_cancel = verdict.state is State.RETRY_WAIT and asked
        to = State.CANCELLED if lost_to_cancel else verdict.state
        assert after.state is to
        self.model.change(self.model.jobs[job.job_id], "cancelled" if lost_to_cancel else "over", state=to, due_s=due_s)
        self.stale.append(job)

    @precondition(lambda self: any(job.state is State.RETRY_WAIT for job in self.model.jobs.values()))
    @rule(wait_s=st.sampled_from([1.0, 20.0, 1000.0]))
    def wait(self, wait_s):
        self.clock.steady_s += wait_s
        due = {job.job_id for job in self.store.due(self.clock.steady_s)}
        assert due == {job.job_id for job in self.model.jobs.values()
                       if job.state is State.RETRY_WAIT and job.due_s <= self.clock.steady_s}
        for job in self.store.due(self.clock.steady_s):
            self.store.move(job, State.QUEUED, Draft("queued"))
            self.model.change(self.model.jobs[job.job_id], "queued", state=State.QUEUED)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), to=st.sampled_from([State.FAILED, State.STOPPING, State.CANCELLED]))
    def act_on_old_knowledge(self, data, to):
        old = data.draw(st.sampled_from(self.stale))
        assert old.state is State.QUEUED or old.state in LIVE
        if old.state is not State.STOPPING and (to, old.state) != (State.STOPPING, State.QUEUED):
            now = self.store.job(old.job_id)
            if (now.state, now.attempt) != (old.state, old.attempt):
                assert self.store.move(old, to, Draft("wrong")) is None
                assert self.store.tell(old, Draft("wrong")) is None

    # --- faults

    @rule(new_boot=st.sampled_from([False, False, True]))
    def crash(self, new_boot):
        """What is on the disk at this moment is what the next life finds."""
        copy = self.root / str(int(self.folder.name) + 1)
        copy.mkdir()
        for path in self.folder.glob("store.sqlite*"):
            shutil.copy(path, copy / path.name)
        self.store.close()
        shutil.rmtree(self.folder)
        self.folder = copy
        if new_boot:
            self.boot, self.clock.steady_s = self.boot + 1, 10.0
            for job in self.model.jobs.values():
                if job.state is State.RETRY_WAIT:
                    self.model.change(job, None, due_s=0.0)
        self.store = self.opened()

    @rule(most=st.integers(1, 20), noted=st.booleans())
    def publish(self, most, noted):
        records = self.store.unpublished(most)
        self.published += records
        if noted:
            self.store.published([record.number for record in records])

    # --- what must hold, always

    @invariant()
    def every_job_is_what_the_model_says(self):
        found = {job.job_id: (job.state, job.attempt, job.slots, job.cancel_asked) for job in self.store.jobs()}
        assert found == {job.job_id: (job.state, job.attempt, job.slots, job.cancel_asked)
                         for job in self.model.jobs.values()}
        assert self.store.counts() == Counter(state for state, *_ in found.values())

    @invariant()
    def an_end_never_changes(self):
        for job in self.store.jobs(TERMINAL):
            assert self.ended.setdefault(job.job_id, job.state) is job.state

    @invariant()
    def no_slot_is_held_twice_and_light_jobs_take_none_of_the_others(self):
        held = Counter(name for job in self.live() for name in job.slots)
        assert not held or max(held.values()) == 1
        for job in self.live():
            assert job.slots
            assert all(name.startswith("light-") == job.light for name in job.slots)

    def check_events(self):
        """Every event once, after what may have been published twice; per job 1, 2, 3, ... and what the model told."""
        told, dead, seen = defaultdict(list), set(), set()
        for record in [*self.published, *self.store.unpublished(100_000)]:
            if record.stream == "dead-letters":
                dead.add(record.number)
                continue
            event = json.loads(record.value)
            if event["state"] != "REJECTED" and event["event_id"] not in seen:
                assert event["seq"] == len(told[event["job_id"]]) + 1
                told[event["job_id"]].append((event["event"], State(event["state"])))
            seen.add(event["event_id"])
        assert len(dead) == self.model.refused
        assert told == self.model.events
        for job_id, course in told.items():
            assert [event["event"] for event in self.store.history(job_id)] == [name for name, _ in course]
        for job_id, state in self.ended.items():
            assert told[job_id][-1][1] is state
            assert [told for told in told[job_id] if told[0] != "duplicate"][-1][1] is state


def test_ten_thousand_steps_of_random_lives_agree_with_the_model():
    run_state_machine_as_test(Lives, settings=settings(
        max_examples=100, stateful_step_count=100, deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]))
