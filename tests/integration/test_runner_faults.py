"""Runners that misbehave, and deaths of a runner, its shim, or both: each job ends, and leaves nothing behind."""

import contextlib
import os
import signal
import socket

import pytest

from tests.support.evidence import processes_of
from tests.support.waiting import wait_until


def processes(service, job_id):
    """(shim, runner) of its live attempt, by what they themselves wrote."""
    mark = next(mark for mark in reversed(service.marks(job_id)) if mark.word == "start")

    def found():
        return next((process.pid for process in processes_of(service.folder) if process.nonce == mark.nonce
                     and process.pid != mark.pid and "shim" in process.command), None)

    return wait_until(found, "the shim is there"), mark.pid


def begin(service, job_id, label, **fields):
    service.ledger.send(job_id, f"fake: {label}", **fields)
    service.wait_running(job_id)
    return processes(service, job_id)


def wait_dead(service, pid):
    """A signal is sent before it is obeyed; what is let go earlier could still write that it has ended well."""
    wait_until(lambda: pid not in [process.pid for process in processes_of(service.folder)], f"process {pid} is dead")


def test_a_killed_runner_is_a_fault_of_its_own_and_is_retried_once(service):
    _, runner = begin(service, "runner-9", "until=runner-killed fork=2")
    os.kill(runner, signal.SIGKILL)
    wait_dead(service, runner)
    service.let_go("runner-killed")
    job = service.ended("runner-9")
    assert (job["state"], job["attempt"]) == ("SUCCEEDED", 2)


@pytest.mark.parametrize("both", [False, True], ids=["shim", "shim and runner"])
def test_a_killed_shim_takes_all_with_it_and_the_job_runs_again(service, both):
    job_id = f"shim-9-{both}"
    shim, runner = begin(service, job_id, f"until=shim-killed-{both} fork=3")
    os.kill(shim, signal.SIGKILL)
    if both:
        with contextlib.suppress(ProcessLookupError):  # it dies with its shim
            os.kill(runner, signal.SIGKILL)
    wait_dead(service, runner)
    service.let_go(f"shim-killed-{both}")
    job = service.ended(job_id)
    assert (job["state"], job["attempt"]) == ("SUCCEEDED", 2)
    assert "lost" in str(job["history"])


def test_a_stopped_runner_can_be_cancelled(service):
    _, runner = begin(service, "frozen", "hang=1")
    os.kill(runner, signal.SIGSTOP)
    service.mediator.ask(verb="cancel", job_id="frozen")
    assert service.ended("frozen")["state"] == "CANCELLED"


def test_a_flood_of_output_is_drained_and_bounded(service):
    service.ledger.send("flood", "fake: flood_mb=200")
    assert service.ended("flood")["state"] == "SUCCEEDED"
    kept = sum(path.stat().st_size for path in (service.logs / "flood" / "attempts" / "1" / "output").iterdir())
    assert kept <= (1 + 8 * 8) * 2**20 + 4096


def test_two_hundred_detached_children_do_not_outlive_their_job(service):
    service.ledger.send("forks", "fake: fork=200")
    assert service.ended("forks")["state"] == "SUCCEEDED"
    wait_until(lambda: not processes_of(service.folder), "no process is left", 5.0)


def test_out_of_memory_is_told_as_such_and_tried_once_more(service):
    service.ledger.send("leak", "fake: leak_mb=4000 limit_mb=200")
    job = service.ended("leak")
    assert (job["state"], job["reason"], job["attempt"]) == ("FAILED", "out_of_memory", 2)


def test_a_taken_port_waits_until_it_is_free(service):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        service.ledger.send("port", f"fake: port={listener.getsockname()[1]}")
        service.wait_state("port", "RETRY_WAIT")
    assert service.ended("port")["state"] == "SUCCEEDED"


def test_a_hanging_job_holds_up_nobody_else(service):
    begin(service, "hangs", "sleep=60 spin=1")
    service.ledger.send_many([f"beside-{number}" for number in range(5)], "fake: sleep=0.05")
    for number in range(5):
        assert service.ended(f"beside-{number}")["state"] == "SUCCEEDED"
    service.mediator.ask(verb="cancel", job_id="hangs")
    assert service.ended("hangs")["state"] == "CANCELLED"
