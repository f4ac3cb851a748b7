"""How the service begins and ends: in order, in one clear line, and with no harm to what runs."""

import json
import os
import signal
import socket

import pytest

from tests.support.evidence import processes_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


def view(world, job_id, **fields):
    """A light job that lives until it is stopped."""
    world.ledger.send(job_id, "fake: hang=1", op="view", **fields)
    world.wait_running(job_id)
    world.wait_state(job_id, "RUNNING")


def test_a_taken_http_port_is_one_line_and_the_next_start_works(real_world):
    with socket.socket() as other:
        other.bind(("127.0.0.1", real_world.port))
        other.listen()
        mediator = real_world.launch()
        assert mediator.wait_dead() == 1
    assert "is taken by another program" in mediator.said()
    assert "Traceback" not in mediator.said()
    real_world.ledger.send("after", "fake: sleep=0")
    real_world.start()
    real_world.must_be_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain_waits_for_running_jobs_and_starts_no_more(real_world, number):
    mediator = real_world.start("--drain")
    real_world.ledger.send_many(["a", "b", "waits"], "fake: until=asked")
    real_world.wait_running("a", "b")
    mediator.process.send_signal(number)
    wait_until(lambda: "waiting for 2 jobs" in mediator.said(), "it says what it waits for")
    real_world.let_go("asked")
    assert mediator.wait_dead() == 0
    assert sorted(mark.job_id for mark in real_world.marks() if mark.word == "end") == ["a", "b"]
    real_world.start()
    assert real_world.must_be_clean().runs == 3


def test_stop_jobs_lets_running_jobs_write_a_checkpoint(real_world):
    mediator = real_world.start("--stop-jobs")
    real_world.ledger.send("runs", "fake: hang=1 term_s=0.3 fork=2")
    real_world.wait_running("runs")
    real_world.wait_state("runs", "RUNNING")
    assert mediator.leave() == 0
    assert (real_world.logs / "runs" / "checkpoint.txt").exists()
    second = real_world.start()
    real_world.must_be_clean()
    assert second.state_of("runs") == "CANCELLED"


def test_a_second_signal_leaves_at_once_and_the_job_goes_on(real_world):
    mediator = real_world.start("--drain")
    real_world.ledger.send("runs", "fake: until=left")
    real_world.wait_running("runs")
    mediator.process.terminate()
    wait_until(lambda: "waiting for 1 job" in mediator.said(), "it says what it waits for")
    mediator.process.terminate()
    assert mediator.wait_dead(10) == 0
    real_world.let_go("left")
    real_world.start()
    assert real_world.must_be_clean().runs == 1


def test_viewers_end_with_the_mediator_unless_they_shall_stay(real_world):
    first = real_world.start()
    view(real_world, "goes")
    view(real_world, "stays", stay=True)
    assert first.leave() == 0
    second = real_world.start()
    assert second.state_of("goes") == "CANCELLED"
    assert second.state_of("stays") == "RUNNING"
    second.ask(verb="cancel", job_id="stays")
    assert real_world.must_be_clean().runs == 2


def test_viewers_are_taken_back_after_a_crash_and_starve_nobody(real_world):
    real_world.start("--slots", 1)
    view(real_world, "viewer")
    real_world.mediator.kill()
    second = real_world.start("--slots", 1)
    real_world.ledger.send("beside", "fake: sleep=0")
    real_world.wait_state("beside", "SUCCEEDED")
    assert second.state_of("viewer") == "RUNNING"
    second.ask(verb="cancel", job_id="viewer")
    assert real_world.must_be_clean().runs == 2


def test_cleanup_removes_finished_jobs_and_leaves_live_and_foreign_ones(real_world):
    first = real_world.start()
    real_world.ledger.send("done", "fake: sleep=0")
    real_world.ledger.send("runs", "fake: until=cleaned")
    (real_world.logs / "mine").mkdir()
    (real_world.logs / "mine" / "notes.txt").write_text("not the service's")
    real_world.wait_running("runs")
    real_world.wait_state("done", "SUCCEEDED")
    first.kill()
    second = real_world.start("--cleanup")
    assert not (real_world.logs / "done").exists()
    assert (real_world.logs / "runs" / "job.json").exists()
    real_world.let_go("cleaned")
    assert (real_world.logs / "mine" / "notes.txt").exists()
    assert "mine" in second.said()
    real_world.ledger.send("done", "fake: sleep=0", "repeat")  # known, though its folder is gone
    assert real_world.must_be_clean().runs == 2


def test_an_embedded_broker_serves_a_mediator_and_ends_with_it(dev_world):
    """The sender finds the address where the commands do."""
    mediator = dev_world.launch("--broker", "embedded")
    wait_until(mediator.ready, "the mediator is ready")
    record = json.loads((dev_world.state / "broker.json").read_text())
    dev_world.use_broker(record["address"])
    dev_world.ledger.send("a", "fake: sleep=0")
    dev_world.must_be_clean()
    assert mediator.leave() == 0
    wait_until(lambda: not (dev_world.state / "broker.json").exists(), "the broker is gone")


def test_killed_with_all_shims_it_leaves_no_process_and_runs_each_job_again(real_world):
    first = real_world.start()
    real_world.ledger.send_many(["a", "b"], "fake: until=taken-back fork=2")
    real_world.wait_running("a", "b")
    real_world.wait_state("a", "RUNNING")
    real_world.wait_state("b", "RUNNING")
    runners = {mark.pid: mark.nonce for mark in real_world.marks()}
    first.kill()
    for process in processes_of(real_world.folder):
        if "shim" in process.command:
            os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not runners.keys() & {process.pid for process in processes_of(real_world.folder)},
               "the runners have gone with their shims")
    real_world.start()
    assert not set(runners.values()) & {process.nonce for process in processes_of(real_world.folder)}
    real_world.let_go("taken-back")
    assert real_world.must_be_clean().runs == 4
    assert {(real_world.ended(name)["state"], real_world.ended(name)["attempt"]) for name in "ab"} == {("SUCCEEDED", 2)}
