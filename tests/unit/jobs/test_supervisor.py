"""Jobs are started, watched, stopped and settled; the processes are pipes here, so that time can be told by hand."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from adaptive_nerf.common.clock import Now
from adaptive_nerf.jobs.attempt_files import Ended
from adaptive_nerf.jobs.executors import Handle, SpawnFailed
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.processes import StillAlive
from adaptive_nerf.jobs.records import Arrival, NewJob, Source
from adaptive_nerf.jobs.scheduling import Slot
from adaptive_nerf.jobs.settings import Settings, Topics
from adaptive_nerf.jobs.states import Reason, State
from adaptive_nerf.jobs.store import Store, StoreFull
from adaptive_nerf.jobs.supervisor import ASK_AGAIN_S, KILL_AFTER_GRACE_S, UNBURIED_REST_S, Supervisor

PLACE = Source("cluster", "life", 0)
DONE = Ended(0, None, None, 0, 0)


class Attempts:
    """An executor whose processes live until `end`."""

    def __init__(self):
        self.orders, self.stopped, self.killed, self.ends, self.trouble = {}, [], [], {}, None
        self.pipes = {}

    def start(self, order):
        if self.trouble:
            raise self.trouble
        self.orders[order.job_id] = order
        ours, self.pipes[order.job_id] = os.pipe()
        return Handle(order.folder, order.nonce, ours)

    def end(self, job_id, ended):
        self.ends[self.orders[job_id].nonce] = ended
        os.close(self.pipes.pop(job_id))

    def stop(self, handle):
        self.stopped.append(handle.nonce)

    def kill(self, handle):
        self.killed.append(handle.nonce)

    def reap(self, handle):
        found = self.ends[handle.nonce]
        if isinstance(found, Exception):
            raise found
        return found

    def finish(self, folder, nonce):
        return self.ends.get(nonce)


class Slots:
    slots = (Slot("cpu-0", "cpu", ""), Slot("cpu-1", "cpu", ""))

    def look(self):
        return self.slots


class World:
    def __init__(self, folder: Path):
        self.steady_s = 100.0
        (folder / "runner.py").touch()
        self.settings = Settings(
            topics=Topics("t"), group_id="g", roots=Roots.of(folder / "logs", [folder / "data"], folder),
            state=folder / "state", logs=folder / "logs", runner=folder / "runner.py", devices=None, slots=2,
            light_slots=1, http="", grace_s=5.0, retry_base_s=0.5, backlog=100, at_stop="leave")
        self.store = Store(folder / "state", "mediator-1", clock=self.now)
        self.executor = Attempts()
        self.supervisor = Supervisor(self.store, self.executor, self.settings, Slots(), lambda: True, lambda: None,
                                     self.now)

    def now(self):
        return Now(1.7e9 + self.steady_s, self.steady_s)

    def step(self, later_s=0.0):
        self.steady_s += later_s
        self.supervisor.step()

    def send(self, *jobs: NewJob):
        sent = [Arrival(PLACE, number, b"{}", job) for number, job in enumerate(jobs)]
        self.store.take_in(sent, str(self.settings.logs))
        self.store.release(PLACE, len(jobs))

    def job(self, job_id="a"):
        return self.store.job(job_id)

    def progress(self, **shown):
        (self.settings.logs / "a" / "progress.json").write_text(json.dumps(shown))


def named(job_id, **fields):
    return NewJob(job_id, "train", json.dumps({"op": "train", "job_id": job_id}), **fields)


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path)
    yield found
    found.store.close()


def test_a_job_runs_and_ends_with_its_result(world):
    world.send(named("a"))
    world.step()
    assert (world.job().state, world.job().slots) == (State.RUNNING, ("cpu-0",))
    folder = world.settings.logs / "a"
    (folder / "result.json").write_text('{"v": 1, "artifacts": ["x.mp4"], "metrics": {"psnr": 25.0}}')
    world.executor.end("a", DONE)
    world.step()
    assert (world.job().state, world.job().result["artifacts"]) == (State.SUCCEEDED, ["x.mp4"])
    assert json.loads((folder / "job.json").read_text())["job_id"] == "a"


def test_what_does_not_fit_waits_for_a_slot(world):
    world.send(named("a"), named("b"), named("c"))
    world.step()
    assert world.job("c").state is State.QUEUED
    world.executor.end("a", DONE)
    world.step()
    assert world.job("c").state is State.RUNNING


def test_a_cancel_stops_politely_and_whatever_follows_is_cancelled(world):
    world.send(named("a"))
    world.step()
    world.store.ask_cancel("a")
    world.step()
    world.step()
    assert (world.job().state, len(world.executor.stopped)) == (State.STOPPING, 1)
    world.executor.end("a", Ended(75, None, None, 0, 0))
    world.step()
    assert world.job().state is State.CANCELLED


def test_a_shim_that_does_not_obey_is_killed_after_the_grace(world):
    world.send(named("a"))
    world.step()
    world.store.ask_cancel("a")
    world.step()
    world.step(world.settings.grace_s + KILL_AFTER_GRACE_S + 1)
    assert world.executor.killed == world.executor.stopped


def test_a_stop_that_a_killed_mediator_had_begun_is_asked_again(world):
    world.send(named("a", timeout_s=10.0))
    world.step()
    world.step(11)
    handle = world.supervisor.live["a"].handle
    world.supervisor.live.clear()  # a new life
    world.supervisor.adopt(world.job(), handle, world.now())
    assert world.executor.stopped == [handle.nonce] * 2
    world.executor.end("a", Ended(75, None, None, 0, 0))
    world.step()
    assert (world.job().state, world.job().reason) == (State.FAILED, Reason.TIMEOUT)


def test_progress_that_moves_keeps_it_from_counting_as_hung(world):
    world.send(named("a", hang_timeout_s=60.0))
    world.step()
    world.step(50)
    world.progress(step=1, of=9)
    world.step(5)
    world.step(50)
    assert (world.job().state, world.job().progress) == (State.RUNNING, {"step": 1, "of": 9})
    world.step(20)
    assert (world.job().state, world.job().reason) == (State.STOPPING, Reason.HUNG)


def test_a_time_limit_ends_a_job_for_good(world):
    world.send(named("a", timeout_s=10.0))
    world.step()
    world.step(11)
    world.executor.end("a", Ended(75, None, None, 0, 0))
    world.step()
    assert (world.job().state, world.job().reason) == (State.FAILED, Reason.TIMEOUT)


def test_a_lost_attempt_is_run_again_in_a_folder_of_its_own(world):
    world.send(named("a"))
    world.step()
    world.executor.end("a", None)
    world.step()
    assert (world.job().state, world.job().reason) == (State.RETRY_WAIT, Reason.LOST)
    world.step(1)
    assert world.executor.orders["a"].folder.name == "2"


def test_what_cannot_be_spawned_is_tried_again_and_then_given_up(world):
    world.send(named("a"))
    world.executor.trouble = SpawnFailed("no processes left")
    for _ in range(20):
        world.step(1)
    assert (world.job().state, world.job().reason, world.job().attempt) == (State.FAILED, Reason.SPAWN_FAILED, 6)
    assert "no processes left" in world.job().detail


def test_a_folder_of_another_job_is_never_written_over(world):
    world.send(named("a"))
    folder = world.settings.logs / "a"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text('{"v": 1, "job_id": "a", "spec": {"op": "train", "seed": 3}}')
    world.step()
    assert (world.job().state, world.job().reason) == (State.FAILED, Reason.BAD_DATA)
    assert "another job" in world.job().detail


def test_a_folder_that_cannot_be_used_is_no_fault_of_the_job(world):
    world.send(named("a"))
    world.settings.logs.write_text("a file")
    world.step()
    assert (world.job().state, world.job().reason) == (State.RETRY_WAIT, Reason.SPAWN_FAILED)


def test_a_job_json_that_cannot_be_read_for_now_is_no_fault_of_the_job(world):
    world.send(named("a"))
    (world.settings.logs / "a" / "job.json").mkdir(parents=True)
    world.step()
    assert (world.job().state, world.job().reason) == (State.RETRY_WAIT, Reason.SPAWN_FAILED)


def test_a_folder_in_trouble_does_not_end_a_job_that_runs(world):
    world.send(named("a"))
    world.step()
    folder = world.settings.logs / "a"
    folder.rename(folder.with_name("aside"))
    folder.write_text("no folder")
    world.step(1)
    assert world.job().state is State.RUNNING


def full_for(world, monkeypatch, states):
    """The disk takes no move to one of the states, once."""
    move = world.store.move

    def refuse(job, to, *drafts, **changes):
        if to in states:
            monkeypatch.setattr(world.store, "move", move)
            raise StoreFull("no room")
        return move(job, to, *drafts, **changes)

    monkeypatch.setattr(world.store, "move", refuse)


def test_a_start_that_a_full_disk_could_not_tell_of_is_told_later(world, monkeypatch):
    world.send(named("a"))
    full_for(world, monkeypatch, {State.RUNNING})
    world.step()
    assert world.job().state is State.STARTING
    world.step()
    assert world.job().state is State.RUNNING
    world.executor.end("a", DONE)
    world.step()
    assert world.job().state is State.SUCCEEDED


def test_a_failed_start_that_a_full_disk_could_not_tell_of_frees_its_slot_later(world, monkeypatch):
    world.send(named("a", max_attempts=1))
    world.executor.trouble = SpawnFailed("no processes left")
    full_for(world, monkeypatch, {State.FAILED})
    world.step()
    assert world.job().state is State.STARTING
    world.step(1)
    assert world.job().state is State.FAILED


def test_warnings_of_a_former_life_are_not_told_again(world):
    world.send(named("a"))
    world.step()
    world.progress(step=1, of=9, warnings=["no half precision here"])
    world.step(1)
    handle = world.supervisor.live["a"].handle
    world.supervisor.live.clear()  # a new life
    world.supervisor.adopt(world.job(), handle, world.now())
    world.step(1)
    warned = [event["message"] for event in world.store.history("a") if event["event"] == "warning"]
    assert warned.count("no half precision here") == 1


def test_an_attempt_whose_processes_do_not_die_counts_as_running(world):
    world.send(named("a"))
    world.step()
    world.executor.end("a", StillAlive([17]))
    world.step()
    assert world.job().state is State.RUNNING
    world.executor.ends[world.executor.orders["a"].nonce] = DONE
    world.supervisor.live["a"].rest_until_steady_s -= UNBURIED_REST_S
    world.step()
    assert world.job().state is State.SUCCEEDED


def test_each_warning_is_told_once(world):
    world.send(named("a"))
    world.step()
    for step in (1, 2, 3):
        world.progress(step=step, of=9, warnings=["no half precision here"])
        world.step(1)
    warnings = [event for event in world.store.history("a") if event["event"] == "warning" and "message" in event]
    assert [event["message"] for event in warnings][-1:] == ["no half precision here"]
    assert len([event for event in warnings if "half" in event["message"]]) == 1


def test_nothing_starts_while_starting_is_not_allowed(world):
    world.supervisor.may_start = lambda: False
    world.send(named("a"))
    soon_s = world.supervisor.step()
    assert world.job().state is State.QUEUED
    assert soon_s == ASK_AGAIN_S  # nobody rings when the disk has room again


def test_a_job_for_more_gpus_than_there_are_fails_with_the_reason(world):
    world.supervisor.devices.slots = (replace(Slots.slots[0], kind="gpu"),)
    world.supervisor.devices.look = lambda: world.supervisor.devices.slots
    world.send(named("a", gpus=2))
    world.step()
    assert (world.job().state, world.job().reason) == (State.FAILED, Reason.NO_DEVICE)
