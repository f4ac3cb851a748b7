"""What a start finds of former lives: after a reboot all is lost and strangers are left alone; ends are told truly."""

import json
import subprocess
from dataclasses import asdict

import pytest

from adaptive_nerf.jobs import processes
from adaptive_nerf.jobs.attempt_files import STARTED, VERSION, Started
from adaptive_nerf.jobs.devices import Devices
from adaptive_nerf.jobs.executors import LocalExecutor
from adaptive_nerf.jobs.job_folder import attempt_folder
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.records import Draft
from adaptive_nerf.jobs.recovery import recover
from adaptive_nerf.jobs.settings import Settings, Topics
from adaptive_nerf.jobs.states import LIVE, Reason, State
from adaptive_nerf.jobs.supervisor import Supervisor
from tests.support.attempts import Attempts, alive, printed
from tests.support.jobs import now
from tests.support.stores import brought_to, queued
from tests.support.waiting import wait_until


@pytest.fixture
def attempts(tmp_path):
    made = Attempts(tmp_path)
    yield made
    made.clear()


@pytest.fixture
def stranger():
    """A process that has to do with no job, in a session of its own as runners are."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def recovered(tmp_path, clock):
    """The supervisor of a new life, once it has looked at what the former one left."""
    lives = []

    def begin(store):
        (tmp_path / "runner.py").touch()
        settings = Settings(
            topics=Topics("t"), group_id="g", roots=Roots.of(tmp_path / "logs", [], tmp_path), state=tmp_path / "state",
            logs=tmp_path / "logs", runner=tmp_path / "runner.py", devices=None, slots=2, light_slots=1, http="",
            grace_s=5.0, retry_base_s=0.5, backlog=100, at_stop="leave")
        executor = LocalExecutor()
        lives.append(Supervisor(store, executor, settings, Devices(None, 2), lambda: True, lambda: None, clock))
        recover(store, executor, lives[-1], settings, clock())
        return lives[-1]

    yield begin
    for live in [live for life in lives for live in life.live.values()]:
        live.handle.close()


def begun(store, attempts, tmp_path, program):
    """The job "a", and the attempt that it runs."""
    order = attempts.order(program, folder=attempt_folder(tmp_path / "logs", "a", 1))
    job, = queued(store, "a")
    store.move(store.begin_attempt(job, ("cpu-0",), order.nonce), State.RUNNING, Draft("started"))
    attempts.handles.append(attempts.executor.start(order))
    return attempts.handles[-1]


def test_after_a_reboot_all_live_jobs_are_lost_and_who_has_their_numbers_now_is_left_alone(
        open_store, recovered, tmp_path, stranger):
    begun_ticks = processes.stat_of(stranger.pid).start_ticks
    started = Started("of the boot before", stranger.pid, begun_ticks, stranger.pid, begun_ticks)
    before = open_store("boot-1")
    for state in LIVE:
        job = brought_to(before, state, state.lower())
        folder = attempt_folder(tmp_path / "logs", job.job_id, job.attempt)
        folder.mkdir(parents=True)
        (folder / STARTED).write_text(json.dumps({"v": VERSION, "nonce": job.nonce, **asdict(started)}))
    store = open_store("boot-2")
    life = recovered(store)
    assert {(job.state, job.reason) for job in store.jobs()} == {(State.RETRY_WAIT, Reason.LOST)}
    assert life.ended == {Reason.LOST: len(LIVE)}
    assert not life.live
    assert stranger.poll() is None


@pytest.mark.parametrize(("code", "state"), [(0, State.SUCCEEDED), (65, State.FAILED)])
def test_an_attempt_that_ended_meanwhile_is_settled_with_its_true_code(
        store, attempts, recovered, tmp_path, code, state):
    handle = begun(store, attempts, tmp_path, f"raise SystemExit({code})")
    wait_until(lambda: processes.wait_dead([handle.pidfd], 1.0), "the end of the shim")
    assert not recovered(store).live
    assert (now(store, "a").state, now(store, "a").code) == (state, code)


def test_an_attempt_that_lost_its_shim_is_lost_and_leaves_no_process(store, attempts, recovered, tmp_path):
    handle = begun(store, attempts, tmp_path, "import os, time\nos.fork()\nprint('up', flush=True)\ntime.sleep(600)")
    printed(handle, "up")
    attempts.executor.kill(handle)
    assert not recovered(store).live
    assert (now(store, "a").state, now(store, "a").reason) == (State.RETRY_WAIT, Reason.LOST)
    assert not alive(handle.nonce)


def test_what_runs_is_taken_back_and_goes_on(store, attempts, recovered, tmp_path):
    handle = begun(store, attempts, tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(600)")
    printed(handle, "up")
    life = recovered(store)
    assert list(life.live) == ["a"]
    assert now(store, "a").state is State.RUNNING
    assert alive(handle.nonce)
