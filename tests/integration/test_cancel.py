"""A cancel works at every state of a job, by message and by socket, and never twice."""

import json

import pytest

from tests.support.waiting import wait_until


def cancel(service, job_id, by):
    if by == "socket":
        assert "error" not in service.mediator.ask(verb="cancel", job_id=job_id)
    else:
        service.ledger.send_bytes(json.dumps({"verb": "cancel", "job_id": job_id}).encode(), None, "wish",
                                  topic=f"{service.topic}.control")


def ran(service, job_id):
    return [mark.word for mark in service.marks(job_id)]


@pytest.mark.parametrize("by", ["socket", "message"])
def test_before_the_job_has_come(service, by):
    cancel(service, f"early-{by}", by)
    if by == "message":
        wait_until(lambda: f"cancel early-{by}" in service.mediator.said(), "the wish is stored")
    service.ledger.send(f"early-{by}", "fake: hang=1")
    assert service.ended(f"early-{by}")["state"] == "CANCELLED"
    assert ran(service, f"early-{by}") == []


@pytest.mark.parametrize("by", ["socket", "message"])
def test_while_it_waits_for_a_slot(service, by):
    blocks = [f"block-{by}-{number}" for number in range(2)]
    service.ledger.send_many(blocks, "fake: hang=1", priority=9)
    service.wait_running(*blocks)
    service.ledger.send(f"waits-{by}", "fake: hang=1")
    service.wait_state(f"waits-{by}", "QUEUED")
    cancel(service, f"waits-{by}", by)
    assert service.ended(f"waits-{by}")["state"] == "CANCELLED"
    assert ran(service, f"waits-{by}") == []
    for block in blocks:
        cancel(service, block, by)
        assert service.ended(block)["state"] == "CANCELLED"


@pytest.mark.parametrize("by", ["socket", "message"])
def test_while_it_runs_it_may_write_a_checkpoint(service, by):
    service.ledger.send(f"runs-{by}", "fake: hang=1 term_s=0.3 fork=3")
    service.wait_running(f"runs-{by}")
    service.wait_state(f"runs-{by}", "RUNNING")
    cancel(service, f"runs-{by}", by)
    assert service.ended(f"runs-{by}")["state"] == "CANCELLED"
    assert (service.logs / f"runs-{by}" / "checkpoint.txt").exists()


def test_a_runner_that_does_not_listen_is_killed_after_the_grace(service):
    service.ledger.send("deaf", "fake: hang=1 ignore_term=1 fork=2")
    service.wait_running("deaf")
    service.wait_state("deaf", "RUNNING")
    cancel(service, "deaf", "socket")
    service.wait_state("deaf", "STOPPING")
    cancel(service, "deaf", "socket")  # again, while it is being stopped
    assert service.ended("deaf")["state"] == "CANCELLED"
    assert ran(service, "deaf") == ["start"]


def test_while_it_waits_for_another_attempt(service):
    service.ledger.send("again", "fake: exit=69")  # is tried again and again, later each time
    service.wait_state("again", "RETRY_WAIT")
    cancel(service, "again", "socket")
    assert service.ended("again")["state"] == "CANCELLED"


def test_while_it_is_stopped_for_its_time_limit(service):
    service.ledger.send("late", "fake: hang=1 ignore_term=1", timeout_s=0.5)
    service.wait_state("late", "STOPPING")
    cancel(service, "late", "socket")
    assert service.ended("late")["state"] == "CANCELLED"


@pytest.mark.parametrize("label", ["sleep=0", "exit=65"])
def test_after_its_end_it_changes_nothing(service, label):
    job_id = f"over-{label.replace('=', '-')}"
    service.ledger.send(job_id, f"fake: {label}")
    before = service.ended(job_id)
    cancel(service, job_id, "socket")
    after = service.mediator.job(job_id)
    assert after == before | {"age_s": after["age_s"]}


NO_WISHES = [
    (b"", "not_json"), (b"{", "not_json"), (b"null", "not_an_object"), (b"\xff", "not_utf8"),
    (b'{"verb": "destroy", "job_id": "a"}', "bad_control"), (b'{"verb": "cancel"}', "bad_control"),
    (b'{"job_id": "over-sleep-0"}', "bad_control"), (b'{"verb": "cancel", "job_id": "../x"}', "bad_control"),
    (b'{"verb": ["cancel"], "job_id": "a"}', "bad_control"),
    (b'{"verb": "cancel", "job_id": "x", ' + b", ".join(b'"k%d": 0' % number for number in range(20_000)) + b"}",
     "bad_control")]


@pytest.mark.parametrize("number", range(len(NO_WISHES)))
def test_a_wish_that_is_none_is_refused_and_the_next_one_works(service, number):
    control, code = NO_WISHES[number]
    service.ledger.send(f"after-no-wish-{number}", "fake: hang=1")
    service.wait_running(f"after-no-wish-{number}")
    service.ledger.send_bytes(control, None, "refused", codes=[code], topic=f"{service.topic}.control")
    cancel(service, f"after-no-wish-{number}", "message")
    assert service.ended(f"after-no-wish-{number}")["state"] == "CANCELLED"
