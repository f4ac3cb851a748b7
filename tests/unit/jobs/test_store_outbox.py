import json
from collections import Counter

from adaptive_nerf.jobs.records import Draft
from adaptive_nerf.jobs.states import State
from tests.support.stores import LOGS, arrival, brought_to, events, queued, rejected, told


def publish_all(store):
    records = store.unpublished(100_000)
    store.published([record.number for record in records])
    return records


def progress(store, job, steps):
    for step in steps:
        job = store.tell(job, Draft("progress"), progress={"step": step})
    return job


def steps_told(store):
    return [event["progress"]["step"] for event in store.history("a") if event["event"] == "progress"]


def test_records_wait_in_the_order_in_which_they_were_written(store):
    queued(store, "a", "b")
    store.take_in([arrival(50, rejected())], LOGS)
    records = store.unpublished(100)
    assert [record.number for record in records] == sorted(record.number for record in records)
    assert [(record.stream, record.key) for record in records] == [
        ("events", "a"), ("events", "a"), ("events", "b"), ("events", "b"), ("dead-letters", ""), ("events", "")]
    assert store.unpublished(2) == records[:2]
    assert store.outbox_size() == 6


def test_what_is_published_is_not_given_again_and_what_is_not_waits_over_a_restart(open_store):
    store = open_store()
    queued(store, "a", "b")
    first, *rest = store.unpublished(100)
    store.published([first.number])
    assert open_store().unpublished(100) == rest
    assert open_store().outbox_size() == 3


def test_a_number_that_is_not_known_any_more_can_be_called_published(store):
    queued(store, "a")
    numbers = [record.number for record in publish_all(store)]
    store.published([*numbers, 999])
    assert store.unpublished(10) == []


def test_the_history_of_a_job_stays_and_dead_letters_go_when_they_are_published(store):
    brought_to(store, State.SUCCEEDED)
    store.take_in([arrival(50, rejected("a"))], LOGS)
    publish_all(store)
    assert told(store, "a") == ["accepted", "queued", "started", "succeeded"]
    assert store._one("SELECT count(*) FROM records") == 4


def test_of_progress_that_was_published_the_latest_stays(store):
    job = brought_to(store, State.RUNNING)
    for step in range(100):
        job = progress(store, job, [step])
        publish_all(store)
    store.move(job, State.SUCCEEDED, Draft("succeeded"))
    assert steps_told(store) == list(range(80, 100))
    history = store.history("a")
    assert [event["event"] for event in history][:3] == ["accepted", "queued", "started"]
    assert (history[-1]["event"], history[-1]["seq"]) == ("succeeded", 104)


def test_a_broker_that_is_away_for_long_costs_some_progress_but_no_number_and_no_order(store):
    job = progress(store, brought_to(store, State.RUNNING), range(1000))
    assert told(store, "a") == ["accepted", "queued", "started", *["progress"] * 20]
    assert steps_told(store) == [*range(19), 999]
    job = store.tell(job, Draft("warning", {"message": "look"}))
    job = progress(store, job, [1000, 1001])
    store.move(job, State.SUCCEEDED, Draft("succeeded"))
    assert told(store, "a")[-4:] == ["warning", "progress", "progress", "succeeded"]
    assert len({event["event_id"] for event in events(store)}) == len(events(store))


def test_progress_that_takes_the_place_of_other_says_all_that_it_would_have_said(store, clock):
    job = progress(store, brought_to(store, State.RUNNING), range(20))
    before = store.history("a")[-1]
    clock.wall_s += 60
    progress(store, job, [77])
    after = store.history("a")[-1]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"at", "progress"}
    assert (after["progress"], after["log_dir"], after["device"]) == ({"step": 77}, "/logs/a", ["cpu-0"])


def test_progress_told_together_with_a_warning_is_told_as_it_is(store):
    job = progress(store, brought_to(store, State.RUNNING), range(20))
    store.tell(job, Draft("progress"), Draft("warning", {"message": "look"}), progress={"step": 20})
    assert told(store, "a")[-2:] == ["progress", "warning"]
    assert steps_told(store) == list(range(21))


def test_a_job_that_tries_for_ever_has_a_bounded_history(store):
    job, = queued(store, "a")
    for number in range(300):
        job = store.move(store.begin_attempt(job, ("cpu-0",), f"{number}"), State.RUNNING, Draft("started"))
        job = store.move(store.move(job, State.RETRY_WAIT, Draft("retry")), State.QUEUED, Draft("queued"))
        publish_all(store)
    counts = Counter(event["event"] for event in store.history("a"))
    assert counts == {"accepted": 1, "started": 200, "retry": 200, "queued": 200}
    assert store.history("a")[-1]["seq"] == 902


def test_a_busy_job_does_not_make_the_history_of_another_shorter(store):
    quiet, busy = queued(store, "a", "b")
    quiet = store.move(store.begin_attempt(quiet, ("cpu-0",), "x"), State.RUNNING, Draft("started"))
    progress(store, quiet, range(5))
    busy = store.move(store.begin_attempt(busy, ("cpu-1",), "y"), State.RUNNING, Draft("started"))
    for step in range(100):
        busy = progress(store, busy, [step])
        publish_all(store)
    assert steps_told(store) == list(range(5))


def test_an_event_is_utf8_json_as_any_language_reads_it(store):
    brought_to(store, State.RUNNING)
    for record in store.unpublished(10):
        assert isinstance(record.value, bytes)
        assert json.loads(record.value.decode("ascii"))["job_id"] == "a"
