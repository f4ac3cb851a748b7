import itertools
import sqlite3
import threading

import pytest

from adaptive_nerf.jobs.records import Draft
from adaptive_nerf.jobs.states import LIVE, MOVES, TERMINAL, Reason, State
from tests.support.stores import LOGS, SOURCE, arrival, brought_to, events, names, new_job, queued, told

STATES = [state for state in State if state is not State.REJECTED]
PAIRS = list(itertools.product(STATES, STATES))
ALLOWED = [pair for pair in PAIRS if pair[1] in MOVES.get(pair[0], ())]
FORBIDDEN = [pair for pair in PAIRS if pair not in ALLOWED]


def title(state):
    return state.value


@pytest.mark.parametrize(("was", "to"), [pair for pair in ALLOWED if pair[1] is not State.STARTING], ids=title)
def test_a_move_of_the_table_is_made_and_told(store, was, to):
    job = brought_to(store, was)
    moved = store.move(job, to, Draft("told", {"message": "of it"}))
    assert moved == store.job("a")
    assert moved.state is to
    last = events(store)[-1]
    assert (last["event"], last["state"], last["message"]) == ("told", to, "of it")


@pytest.mark.parametrize(("was", "to"), FORBIDDEN, ids=title)
def test_any_other_move_is_refused_by_the_program_and_by_the_database(store, was, to):
    job = brought_to(store, was)
    with pytest.raises(ValueError, match=f"a may not go from {was} to {to}"):
        store.move(job, to)
    if was is not to:
        with pytest.raises(sqlite3.IntegrityError, match="may not make this move"):
            store._database.execute("UPDATE jobs SET state = ?", (to,))
    assert store.job("a") == job


@pytest.mark.parametrize(("change", "problem"), [
    ("UPDATE jobs SET attempt = 0", "counted"), ("UPDATE jobs SET attempt = 2", "counted"),
    ("UPDATE jobs SET job_id = 'b'", "never changes"), ("UPDATE jobs SET canonical = '{}'", "never changes"),
    ("DELETE FROM jobs", "never forgotten")])
def test_the_database_itself_keeps_the_promises(store, change, problem):
    job = brought_to(store, State.RUNNING)
    with pytest.raises(sqlite3.IntegrityError, match=problem):
        store._database.execute(change)
    assert store.job("a") == job


def test_who_was_slower_changes_and_tells_nothing(store):
    job, = queued(store, "a")
    faster = store.begin_attempt(job, ("cpu-0",), "first")
    before = store.history("a")
    assert store.begin_attempt(job, ("cpu-1",), "second") is None
    assert store.move(job, State.CANCELLED, Draft("cancelled")) is None
    assert store.tell(job, Draft("progress"), progress={"step": 1}) is None
    assert (store.job("a"), store.history("a")) == (faster, before)


def test_who_speaks_of_an_earlier_state_is_not_heard(store):
    starting = brought_to(store, State.STARTING)
    running = store.move(starting, State.RUNNING)
    assert store.move(starting, State.STOPPING, Draft("stopping")) is None
    assert store.tell(starting, Draft("progress")) is None
    assert store.job("a") == running


def test_who_speaks_of_an_earlier_attempt_is_not_heard(store):
    first = brought_to(store, State.RUNNING)
    again = store.move(store.move(first, State.RETRY_WAIT), State.QUEUED)
    second = store.move(store.begin_attempt(again, ("cpu-0",), "nonce-2"), State.RUNNING)
    assert store.move(first, State.FAILED, Draft("failed")) is None
    assert store.tell(first, Draft("progress")) is None
    assert store.job("a") == second


def test_why_a_job_was_where_it_was_is_forgotten_when_it_moves_on(store):
    job = brought_to(store, State.RUNNING)
    job = store.move(job, State.RETRY_WAIT, reason=Reason.OWN_FAULT, code=70, detail="it broke")
    job = store.move(job, State.QUEUED, Draft("queued"))
    assert (job.reason, job.code, job.detail) == (None, None, "")
    assert (events(store)[-1]["reason"], events(store)[-1]["code"]) == (None, None)


def test_an_attempt_begins_counted_with_its_slots_and_without_the_traces_of_the_one_before(store, clock):
    job = brought_to(store, State.RUNNING)
    store.tell(job, progress={"step": 3}, url="http://host:1/")
    job = store.move(job, State.RETRY_WAIT, reason=Reason.LOST, detail="gone", code=1, faults={"infrastructure": 1},
                     not_before_steady_s=5.0)
    clock.steady_s = 2000.0
    job = store.begin_attempt(store.move(job, State.QUEUED), ("GPU-1", "GPU-2"), "nonce-2", Draft("warning"))
    assert (job.state, job.attempt, job.slots, job.nonce) == (State.STARTING, 2, ("GPU-1", "GPU-2"), "nonce-2")
    assert (job.reason, job.code, job.detail, job.progress, job.url) == (None, None, "", None, "")
    assert (job.faults, job.started_steady_s) == ({"infrastructure": 1}, 2000.0)
    assert store.job("a") == job
    assert events(store)[-1]["device"] == ["GPU-1", "GPU-2"]


@pytest.mark.parametrize("state", [state for state in STATES if state is not State.QUEUED], ids=title)
def test_only_what_is_queued_is_started(store, state):
    with pytest.raises(ValueError, match=f"a is {state}"):
        store.begin_attempt(brought_to(store, state), ("cpu-0",), "nonce")


@pytest.mark.parametrize("to", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.RETRY_WAIT], ids=title)
def test_an_attempt_that_is_over_holds_no_slots_but_its_last_event_names_them(store, to):
    job = brought_to(store, State.RUNNING)
    job = store.tell(job, url="http://host:1/")
    over = store.move(job, to, Draft("over"), reason=Reason.OWN_FAULT, code=70, detail="it broke")
    assert (over.slots, over.url, over.reason, over.code, over.detail) == ((), "", Reason.OWN_FAULT, 70, "it broke")
    assert events(store)[-1]["device"] == ["cpu-0"]


def test_a_stop_keeps_the_slots_until_the_proof_of_death(store):
    assert brought_to(store, State.STOPPING).slots == ("cpu-0",)


def test_an_event_tells_all_that_is_known(store, clock):
    job = brought_to(store, State.RUNNING)
    clock.wall_s = 1_795_255_700.25
    job = store.tell(job, progress={"step": 5, "of": 10})
    store.move(job, State.SUCCEEDED, Draft("succeeded"), reason=Reason.DONE, code=0, result={"artifacts": ["last.pt"]})
    event = events(store)[-1]
    assert len(event.pop("event_id")) == 32
    assert event == {
        "v": 1, "seq": 4, "job_id": "a", "op": "train", "attempt": 1, "event": "succeeded", "state": "SUCCEEDED",
        "reason": "done", "code": 0, "at": "2026-11-21T10:08:20.250+00:00", "mediator_id": "mediator-1",
        "device": ["cpu-0"], "progress": {"step": 5, "of": 10}, "result": {"artifacts": ["last.pt"]}, "url": "",
        "log_dir": "/logs/a"}


def test_what_a_runner_wrote_can_break_no_write(store):
    job = brought_to(store, State.RUNNING)
    strange = {"psnr": float("nan"), "worst": [float("inf")], "text": "\ud800", "many": 10**30}
    draft = Draft("progress", {"note": float("nan")})
    job = store.tell(job, draft, progress=strange, url="\udcff", detail="\x00\ud800")
    found = store.job("a")
    assert found.progress == {"psnr": None, "worst": [None], "text": "\ud800", "many": 10**30}
    assert (found.url, found.detail) == ("?", "\x00?")
    assert store.move(job, State.FAILED, Draft("failed", {"cause": "\ud800"}), result=strange) is not None
    assert told(store, "a")[-2:] == ["progress", "failed"]


def test_what_a_job_is_cannot_be_changed_by_a_slip(store):
    with pytest.raises(ValueError, match="attempt, job_id cannot be changed"):
        store.tell(brought_to(store, State.RUNNING), job_id="b", attempt=7)


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRY_WAIT], ids=title)
def test_a_cancel_of_a_job_that_does_not_run_is_its_end(store, state):
    brought_to(store, state)
    job = store.ask_cancel("a")
    assert (job.state, job.reason, job) == (State.CANCELLED, Reason.CANCELLED, store.job("a"))
    assert told(store, "a")[-1] == "cancelled"


@pytest.mark.parametrize("state", sorted(LIVE), ids=title)
def test_a_cancel_of_a_running_job_is_noted_for_who_runs_it(open_store, state):
    before = brought_to(open_store(), state)
    job = open_store().ask_cancel("a")
    assert (job.state, job.cancel_asked) == (state, True)
    assert open_store().job("a") == job != before


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED], ids=title)
def test_a_cancel_of_a_job_that_has_ended_changes_nothing(store, state):
    job, before = brought_to(store, state), store.history("a")
    assert store.ask_cancel("a") == job
    assert store.job("a") == job
    assert store.history("a") == before


@pytest.mark.parametrize("was", sorted(LIVE), ids=title)
def test_a_cancel_that_comes_while_another_attempt_is_decided_on_is_not_lost(store, was):
    job = brought_to(store, was)
    store.ask_cancel("a")
    moved = store.move(job, State.RETRY_WAIT, Draft("retry"), reason=Reason.LOST, detail="gone")
    assert (moved.state, moved.reason, moved.detail) == (State.CANCELLED, Reason.CANCELLED, "")
    assert told(store, "a")[-1] == "cancelled"


def test_a_retry_of_a_waiting_job_makes_it_due(store):
    job = store.move(brought_to(store, State.RUNNING), State.RETRY_WAIT, not_before_steady_s=9e9)
    assert store.due(1e9) == []
    assert store.ask_retry("a").state is State.RETRY_WAIT
    assert names(store.due(0.0)) == [job.job_id]


@pytest.mark.parametrize("state", [state for state in STATES if state not in TERMINAL | {State.RETRY_WAIT}]
                         + [State.SUCCEEDED], ids=title)
def test_a_retry_of_a_job_that_has_not_failed_changes_nothing(store, state):
    job = brought_to(store, state)
    assert store.ask_retry("a") == job == store.job("a")


def test_a_retry_of_a_job_that_does_not_exist_is_nothing(store):
    assert store.ask_retry("a") is None


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED], ids=title)
def test_a_retry_of_an_ended_job_is_a_new_one_that_does_the_same(store, state):
    ended = brought_to(store, state, priority=8, gpus=2, timeout_s=3.0, light=True, stay=True, max_attempts=3)
    job = store.ask_retry("a")
    assert store.job("a") == ended
    assert (job.job_id, job.state, job.attempt, job.faults) == ("a-retry1", State.QUEUED, 0, {})
    for name in ("op", "canonical", "priority", "gpus", "timeout_s", "light", "stay", "max_attempts"):
        assert getattr(job, name) == getattr(ended, name)
    accepted = store.history("a-retry1")[0]
    assert (accepted["event"], accepted["retry_of"], accepted["log_dir"]) == ("accepted", "a", "/logs/a-retry1")


def test_there_is_one_retry_at_a_time_whichever_of_the_line_is_named(store):
    brought_to(store, State.FAILED)
    first = store.ask_retry("a")
    assert store.ask_retry("a") == first
    store.ask_cancel("a-retry1")
    second = store.ask_retry("a-retry1")
    assert second.job_id == "a-retry2"
    assert store.ask_retry("a") == store.ask_retry("a-retry1") == second


def test_the_name_of_a_retry_fits_and_is_free(store):
    name = "n" * 64
    brought_to(store, State.FAILED, job_id=name)
    queued(store, "n" * 57 + "-retry1")
    assert store.ask_retry(name).job_id == "n" * 57 + "-retry2"


def test_a_request_on_the_control_topic_counts_once_however_often_it_is_delivered(open_store):
    store = open_store()
    brought_to(store, State.FAILED)
    assert store.ask_retry("a", (SOURCE, 500)).job_id == "a-retry1"
    store.ask_cancel("a-retry1")
    store = open_store()
    assert store.ask_retry("a", (SOURCE, 500)).job_id == "a"
    assert store.ask_cancel("b", (SOURCE, 501)) is None
    assert store.ask_retry("a", (SOURCE, 501)).job_id == "a"
    queued(store, "c")
    assert store.ask_cancel("c", (SOURCE, 500)).state is State.QUEUED
    assert names(store.jobs()) == ["a", "a-retry1", "c"]


def test_of_threads_that_want_the_same_job_one_gets_it(store):
    jobs, won = queued(store, *(f"job-{number}" for number in range(40))), []

    def start_all(slot):
        for job in jobs:
            if begun := store.begin_attempt(job, (slot,), slot):
                won.append(begun)

    threads = [threading.Thread(target=start_all, args=(f"cpu-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(won)) == sorted(names(jobs))
    assert {job.job_id: job.slots for job in won} == {job.job_id: job.slots for job in store.jobs()}


def test_intake_and_changes_from_several_threads_number_the_events_without_gaps(store):
    job = brought_to(store, State.RUNNING)

    def take():
        for offset in range(1, 201):
            store.take_in([arrival(offset, new_job("a"))], LOGS)

    taking = threading.Thread(target=take)
    taking.start()
    for step in range(200):
        store.tell(job, Draft("warning", {"message": str(step)}))
    taking.join()
    assert [event["seq"] for event in events(store)] == list(range(1, 404))
