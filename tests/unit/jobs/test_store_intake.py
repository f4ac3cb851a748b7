import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from adaptive_nerf.jobs.outbox import iso
from adaptive_nerf.jobs.records import Rejected, Source
from adaptive_nerf.jobs.states import Reason, State
from adaptive_nerf.jobs.store import Store, Taken
from tests.support.stores import LOGS, SOURCE, arrival, brought_to, events, names, new_job, queued, rejected, told

AGAIN = Source("cluster", "another incarnation", 0)
OTHER = Source("cluster", "incarnation", 1)
PROGRAM = """
import sys
from pathlib import Path
from adaptive_nerf.jobs.store import Store
from tests.support.stores import LOGS, SOURCE, arrival
store = Store(Path(sys.argv[1]), "mediator-1")
store.take_in([arrival(0)], LOGS)
store.release(SOURCE, 1)
store.take_in([arrival(1), arrival(2)], LOGS)
"""


def test_a_message_is_a_job_at_once_and_is_told_of_when_its_offset_is_committed(store):
    assert store.take_in([arrival(7, new_job("a", warnings=("x has no effect",)))], LOGS) == Taken(1, 0, 0)
    assert store.job("a").state is State.ACCEPTED
    assert not events(store)
    assert store.release(SOURCE, 8) == 1
    assert store.job("a").state is State.QUEUED
    assert told(store, "a") == ["accepted", "warning", "queued"]
    assert [event["state"] for event in events(store)] == ["ACCEPTED", "ACCEPTED", "QUEUED"]
    assert events(store)[1]["message"] == "x has no effect"


def test_all_that_a_message_asked_for_is_kept(store):
    asked = new_job("a", priority=9, gpus=3, timeout_s=1.5, hang_timeout_s=2.5, max_attempts=4, light=True, stay=True)
    job, = queued(store, asked)
    assert {name: getattr(job, name) for name in vars(asked) if name != "warnings"} == {
        name: value for name, value in vars(asked).items() if name != "warnings"}


def test_a_message_counts_once_however_often_it_is_delivered(open_store):
    batch = [arrival(0), arrival(1, rejected()), arrival(2, new_job("job-0")), arrival(3, new_job("job-0", "other"))]
    store = open_store()
    assert store.take_in(batch, LOGS) == Taken(1, 1, 2)
    store.release(SOURCE, 4)
    before = store.unpublished(100)
    for _ in range(2):
        assert store.take_in(batch, LOGS) == Taken(0, 0, 0)
        assert store.release(SOURCE, 4) == 0
        assert store.unpublished(100) == before
        store = open_store()


def test_a_topic_that_was_made_anew_counts_from_the_beginning(store):
    store.take_in([arrival(0, new_job("old"))], LOGS)
    assert store.take_in([arrival(0, new_job("new"), AGAIN)], LOGS).accepted == 1
    assert set(store.accepted_sources()) == {SOURCE, AGAIN}
    store.release(AGAIN, 1)
    assert (store.job("old").state, store.job("new").state) == (State.ACCEPTED, State.QUEUED)
    assert store.accepted_sources() == [SOURCE]


def test_the_same_job_again_is_told_as_a_duplicate_and_changes_nothing(store):
    job = brought_to(store, State.SUCCEEDED)
    assert store.take_in([arrival(70, new_job("a"))], LOGS) == Taken(0, 1, 0)
    assert store.job("a") == job
    assert told(store, "a")[-2:] == ["succeeded", "duplicate"]
    assert events(store)[-1]["state"] == "SUCCEEDED"


def test_a_duplicate_of_a_job_that_was_not_told_of_yet_is_answered_by_its_acceptance(store):
    assert store.take_in([arrival(0, new_job("a")), arrival(1, new_job("a"))], LOGS) == Taken(1, 1, 0)
    assert not events(store)
    store.release(SOURCE, 2)
    assert told(store, "a") == ["accepted", "queued"]


def test_another_job_under_a_known_name_is_refused_and_disturbs_nothing(store):
    job = brought_to(store, State.RUNNING)
    history = store.history("a")
    assert store.take_in([arrival(70, new_job("a", "something else"))], LOGS) == Taken(0, 0, 1)
    assert store.job("a") == job
    assert store.history("a") == history
    letter, event = store.unpublished(100)[-2:]
    assert (letter.key, letter.value, letter.headers["error_code"]) == ("a", b"bytes 70", "job_id_conflict")
    content = json.loads(event.value)
    assert (content["job_id"], content["reason"]) == ("a", "job_id_conflict")
    assert content["errors"][0]["field"] == "/job_id"


def test_a_bad_message_is_answered_with_its_bytes_and_an_event(store):
    store.take_in([arrival(7, rejected("a"))], LOGS)
    letter, event = store.unpublished(10)
    assert (letter.stream, letter.key, letter.value) == ("dead-letters", "a", b"bytes 7")
    assert letter.headers == {
        "error_code": "bad_spec", "json_pointer": "/gpus", "message": "is no number", "hint": "give 0 to 64",
        "mediator_id": "mediator-1", "source_topic": "nerfConfigs", "source_partition": "0", "source_offset": "7"}
    content = json.loads(event.value)
    assert (event.stream, event.key, content["event"], content["state"]) == ("events", "a", "rejected", "REJECTED")
    assert content["errors"] == [dict(error) for error in rejected().errors]
    assert content["source"] == {"topic": "nerfConfigs", "partition": 0, "offset": 7}
    assert store.job("a") is None


def test_a_bad_message_that_bears_the_name_of_a_job_is_no_part_of_its_life(store):
    job = brought_to(store, State.RUNNING)
    before = told(store, "a")
    store.take_in([arrival(70, rejected("a"))], LOGS)
    assert store.job("a") == job
    assert told(store, "a") == before
    assert events(store)[-1]["seq"] == 0


def test_a_bad_message_with_thousands_of_errors_has_an_answer_that_fits(store):
    errors = ({"field": f"/{number}", "message": "unknown", "hint": ""} for number in range(5000))
    many = Rejected("bad_spec", tuple(errors))
    store.take_in([arrival(0, many), arrival(1, replace(many, errors=()))], LOGS)
    assert [len(event["errors"]) for event in events(store)] == [50, 0]


def test_only_what_lies_before_the_committed_offset_of_its_partition_is_released(store):
    store.take_in([*map(arrival, range(4)), arrival(0, new_job("other"), OTHER)], LOGS)
    assert store.release(SOURCE, 3) == 3
    assert names(store.jobs([State.ACCEPTED])) == ["job-3", "other"]
    assert store.release(OTHER, 0) == 0
    assert store.release(OTHER, 1) == 1


def test_what_belongs_to_another_member_is_forgotten_and_can_come_again(store):
    store.take_in([arrival(0)], LOGS)
    store.release(SOURCE, 1)
    store.take_in([arrival(1), arrival(2), arrival(0, new_job("other"), OTHER)], LOGS)
    assert store.let_go(SOURCE) == ["job-1", "job-2"]
    assert names(store.jobs()) == ["job-0", "other"]
    assert store.take_in([arrival(0), arrival(1), arrival(2)], LOGS) == Taken(2, 0, 0)


def test_a_job_that_came_again_in_another_partition_after_it_was_let_go_is_released_there(store):
    store.take_in([arrival(5, new_job("a"))], LOGS)
    store.let_go(SOURCE)
    store.take_in([arrival(0, new_job("a"), OTHER)], LOGS)
    assert store.release(SOURCE, 99) == 0
    assert store.release(OTHER, 1) == 1


def test_a_cancel_that_comes_before_its_job_waits_for_it(open_store):
    store = open_store()
    assert store.ask_cancel("a") is None
    store = open_store()
    store.take_in([arrival(0, new_job("a"))], LOGS)
    store.release(SOURCE, 1)
    job = store.job("a")
    assert (job.state, job.reason) == (State.CANCELLED, Reason.CANCELLED)
    assert told(store, "a") == ["accepted", "cancelled"]


def test_a_cancel_of_a_job_that_was_not_told_of_yet_is_kept_also_when_it_is_let_go(store):
    brought_to(store, State.ACCEPTED)
    job = store.ask_cancel("a")
    assert (job.state, job.cancel_asked) == (State.ACCEPTED, True)
    store.let_go(SOURCE)
    store.take_in([arrival(3, new_job("a"))], LOGS)
    store.release(SOURCE, 4)
    assert store.job("a").state is State.CANCELLED


@pytest.mark.parametrize(("later_s", "state"), [(3600, State.CANCELLED), (25 * 3600, State.QUEUED)])
def test_a_cancel_waits_for_its_job_for_a_day_and_the_event_tells_when_it_was_asked(store, clock, later_s, state):
    asked_at = iso(clock.wall_s)
    store.ask_cancel("a")
    clock.wall_s += later_s
    job, = queued(store, "a")
    assert job.state is state
    assert store.history("a")[-1].get("asked_at") == (asked_at if state is State.CANCELLED else None)
    assert store._one("SELECT count(*) FROM wishes") == 0


def test_a_cancel_that_is_asked_again_waits_for_another_day(store, clock):
    for _ in range(2):
        store.ask_cancel("a")
        clock.wall_s += 20 * 3600
    assert queued(store, "a")[0].state is State.CANCELLED


def test_a_retry_takes_back_the_cancel_of_a_job_that_has_not_come(store):
    store.ask_cancel("a")
    assert store.ask_retry("a") is None
    assert queued(store, "a")[0].state is State.QUEUED


def test_a_wish_is_granted_once(store):
    store.ask_cancel("a")
    queued(store, "a", "b")
    assert store.ask_retry("a").job_id == "a-retry1"
    assert names(store.waiting()) == ["b", "a-retry1"]
    assert store._one("SELECT count(*) FROM wishes") == 0


def test_the_largest_numbers_that_a_message_may_hold_can_be_kept(store):
    asked = new_job("a", priority=9, gpus=64, max_attempts=2**31, timeout_s=1.7e308, hang_timeout_s=5e-324)
    job, = queued(store, asked)
    assert (job.max_attempts, job.timeout_s, job.hang_timeout_s) == (2**31, 1.7e308, 5e-324)


def test_a_kill_in_the_middle_of_a_batch_leaves_nothing_of_it(tmp_path, clone):
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path], cwd=clone, check=False,
        env=os.environ | {"ADAPTIVE_NERF_FAILPOINT": "in_transaction:2"})
    assert killed.returncode == -signal.SIGKILL
    store = Store(tmp_path, "mediator-1")
    assert names(store.jobs()) == ["job-0"]
    assert store.take_in([arrival(0), arrival(1), arrival(2)], LOGS) == Taken(2, 0, 0)
    store.close()
