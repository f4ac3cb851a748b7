"""What becomes of jobs while nothing is in their way: each ends, once, for the right reason, and all of it is told."""

import re

import pytest

from tests.support.evidence import dump, read_marks
from tests.support.waiting import wait_until


def names_of(events, *without):
    return [event["event"] for event in events if event["event"] not in without]


def told_end(service, job_id):
    """The terminal event, once it has been published."""
    ends = ("succeeded", "failed", "cancelled")
    return wait_until(lambda: next((event for event in service.events_of(job_id) if event["event"] in ends), None),
                      f"the end of {job_id} is told")


def runs_of(service, job_id):
    return [(mark.attempt, mark.code) for mark in read_marks(service.logs / "runs.txt")
            if mark.job_id == job_id and mark.word == "end"]


def test_a_job_runs_to_its_end_and_every_step_is_told(service):
    service.ledger.send("steps", "fake: sleep=1.5 steps=3 url=http://127.0.0.1:7070/?token=secret")
    end = told_end(service, "steps")
    events = service.events_of("steps")
    assert names_of(events, "progress", "warning") == ["accepted", "queued", "started", "succeeded"]
    assert any(event["progress"]["step"] < event["progress"]["of"] == 3 for event in events if event["progress"])
    assert (end["state"], end["reason"], end["code"], end["attempt"]) == ("SUCCEEDED", "done", 0, 1)
    assert end["result"] == {"artifacts": ["log.txt"], "metrics": {"psnr": 21.0}}
    assert "secret" not in str(events)


@pytest.mark.parametrize(("label", "state", "reason", "code", "attempts"), [
    ("exit=64", "FAILED", "bad_spec", 64, 1), ("exit=65", "FAILED", "bad_data", 65, 1),
    ("exit=78", "FAILED", "broken_installation", 78, 1), ("exit=70", "FAILED", "own_fault", 70, 2),
    ("exit=76", "FAILED", "out_of_memory", 76, 2), ("signal=11", "FAILED", "signal", None, 2),
    ("exit=70 fail_attempts=1", "SUCCEEDED", "done", 0, 2), ("exit=69 fail_attempts=2", "SUCCEEDED", "done", 0, 3),
    ("signal=9 fail_attempts=1", "SUCCEEDED", "done", 0, 2)])
def test_a_failure_is_retried_by_its_cause(service, label, state, reason, code, attempts):
    job_id = "cause-" + label.replace("=", "-").replace(" ", "-").replace("_", "-")
    service.ledger.send(job_id, f"fake: {label}")
    end = told_end(service, job_id)
    assert (end["state"], end["reason"], end["attempt"]) == (state, reason, attempts)
    assert code is None or end["code"] == code
    assert [attempt for attempt, _ in runs_of(service, job_id)] == list(range(1, attempts + 1))


def test_a_failure_tells_its_cause_and_the_last_lines_of_output(service):
    service.ledger.send("cause", "fake: exit=65")
    end = told_end(service, "cause")
    assert (end["cause"], end["hint"]) == ("told to end with 65", "tell the fake runner something else")
    assert "attempt 1 of cause" in end["log_tail"]


@pytest.mark.parametrize(("fields", "reason"), [({"timeout_s": 1.0}, "timeout"),
                                                ({"hang_timeout_s": 1.0, "max_attempts": 1}, "hung")])
def test_a_job_that_goes_on_for_too_long_is_stopped(service, fields, reason):
    service.ledger.send(f"long-{reason}", "fake: hang=1 steps=1", **fields)
    end = told_end(service, f"long-{reason}")
    assert (end["state"], end["reason"]) == ("FAILED", reason)
    assert (service.logs / f"long-{reason}" / "checkpoint.txt").exists()


def test_a_job_that_hung_once_is_run_again(service):
    service.ledger.send("hung-once", "fake: hang=1 steps=1 fail_attempts=1", hang_timeout_s=1.0)
    assert told_end(service, "hung-once")["attempt"] == 2


def test_the_same_job_twice_runs_once_and_another_of_the_same_name_is_refused(service):
    service.ledger.send("twin", "fake: sleep=0.1")
    assert told_end(service, "twin")["state"] == "SUCCEEDED"
    service.ledger.send("twin", "fake: sleep=0.2", "refused")
    service.ledger.send("twin", "fake: sleep=0.1", "repeat")
    wait_until(lambda: "duplicate" in names_of(service.events_of("twin")), "the repeat is told")
    (letter,) = wait_until(lambda: [told for told in dump(service.broker, f"{service.topic}.dead-letters")
                                    if b'"twin"' in told.value], "the dead letter")
    assert letter.headers["error_code"] == b"job_id_conflict"
    assert len(runs_of(service, "twin")) == 1


def test_the_urgent_run_first_and_then_the_old(service):
    blocks = ["block-1", "block-2"]
    service.ledger.send_many(blocks, "fake: hang=1", priority=9)
    service.wait_running(*blocks)
    for name, priority in (("low", 1), ("old", 5), ("new", 5), ("high", 8)):
        service.ledger.send(f"order-{name}", "fake: sleep=0.4", priority=priority)
        service.wait_state(f"order-{name}", "QUEUED")
    for block in blocks:
        service.mediator.ask(verb="cancel", job_id=block)
    for name in ("low", "old", "new", "high"):
        told_end(service, f"order-{name}")
    # As the mediator began them: two that begin together may write their own first lines in any order.
    begun = re.findall(r"order-(\w+) started", service.mediator.said())
    assert begun == ["high", "old", "new", "low"]


def test_a_job_without_a_name_gets_one_and_is_told(service):
    service.ledger.send_bytes(b'{"op": "train", "data_path": "data/town", "dataset": "fake: sleep=0"}')
    wait_until(lambda: any(told.event["event"] == "succeeded" and told.event["job_id"].startswith("job-")
                           for told in dump(service.broker, f"{service.topic}.events")), "the nameless job ends")


def test_a_field_without_effect_is_told_as_a_warning(service):
    service.ledger.send("idle-field", "fake: sleep=0", fps=24)
    told_end(service, "idle-field")
    assert any("fps" in str(event) for event in service.events_of("idle-field") if event["event"] == "warning")
