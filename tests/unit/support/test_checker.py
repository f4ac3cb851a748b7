"""The judge must find each kind of fault; a judge that never finds anything proves nothing."""

import json
from dataclasses import replace

import pytest

from tests.support.checker import check
from tests.support.evidence import Evidence, Mark, Process, Told
from tests.support.ledger import Entry

SECOND = 1_000_000_000
STATES = {"accepted": "QUEUED", "queued": "QUEUED", "started": "RUNNING", "succeeded": "SUCCEEDED", "failed": "FAILED",
          "cancelled": "CANCELLED", "duplicate": "SUCCEEDED"}


def entry(offset=0, job_id="a", **changes):
    return replace(Entry("t", 0, offset, b"{}", job_id, "job", 0.0), **changes)


def told(*names, job_id="a", attempt=1, **changes):
    events = [{"event_id": f"{job_id}{seq}", "seq": seq, "job_id": job_id, "attempt": attempt, "event": name,
               "state": STATES[name], "reason": "done", **changes} for seq, name in enumerate(names, 1)]
    return [record(event, offset) for offset, event in enumerate(events)]


def record(event, offset=0):
    return Told(("t.events", 0, offset), b"a", json.dumps(event).encode(), {})


def changed(record_, **changes):
    return record({**record_.event, **changes}, record_.place[2])


def letter(offset=0, value=b"{}", code=b"bad_op"):
    return Told(("t.dead-letters", 0, 0), None, value,
                {"source_topic": b"t", "source_partition": b"0", "source_offset": b"%d" % offset, "error_code": code})


def run(attempt=1, begin_s=1.0, end_s=2.0, code=0, job_id="a", nonce=None):
    nonce = nonce or f"{job_id}{attempt}"
    start = Mark("start", job_id, attempt, 100 + attempt, int(begin_s * SECOND), nonce)
    return [start] if end_s is None else [start, replace(start, word="end", at_ns=int(end_s * SECOND), code=code)]


GOOD = Evidence(told("accepted", "queued", "started", "succeeded"), [], run(), [], 100 * SECOND)


def kinds(entries, evidence, **options):
    return sorted({fault.kind for fault in check(entries, evidence, **options).faults})


def test_a_good_run_has_no_fault():
    assert kinds([entry()], GOOD) == []


def test_the_same_event_twice_is_one_event():
    assert kinds([entry()], replace(GOOD, events=GOOD.events + GOOD.events[:3])) == []


def test_a_retry_after_a_death_without_a_trace_has_no_fault():
    assert kinds([entry()], replace(GOOD, marks=run(1, 1, None) + run(2, 3, 4), events=[
        *GOOD.events[:3], changed(GOOD.events[3], attempt=2)])) == []


def test_an_acknowledged_message_without_an_answer_is_lost():
    assert kinds([entry(), entry(1, "b")], GOOD) == ["lost"]


def test_an_unnamed_message_without_an_answer_is_lost():
    assert kinds([entry(job_id=None)], GOOD) == []
    assert kinds([entry(job_id=None), entry(1, None)], GOOD) == ["lost"]


def test_a_success_without_a_run_is_lost_work():
    assert kinds([entry()], replace(GOOD, marks=[])) == ["lost"]
    assert kinds([entry()], replace(GOOD, marks=run(code=70))) == ["lost"]


def test_a_failure_told_of_a_good_run_is_lost_work():
    assert kinds([entry()], replace(GOOD, events=told("accepted", "queued", "started", "failed"))) == ["lost"]


@pytest.mark.parametrize("marks", [
    run(1, 1, 3, 70) + run(2, 2, 4),
    run(1, 1, 2) + run(1, 3, 4, nonce="other"),
    run(1, 1, 2) + run(2, 3, 4),
    run(2, 1, 2, 70) + run(1, 3, 4),
    [*run(1), Mark("overlap", "a", 2, 7, 1, "x")],
], ids=["crossing in time", "one attempt twice", "two successes", "attempts go back", "its lock was held"])
def test_a_job_that_runs_twice_is_doubled(marks):
    assert "doubled" in kinds([entry()], replace(GOOD, marks=marks))


def test_a_run_after_the_end_is_doubled():
    assert kinds([entry()], replace(GOOD, marks=run() + run(2, 3, 4, 70))) == ["doubled"]


def test_two_acceptances_are_doubled():
    again = changed(GOOD.events[0], event_id="other", seq=5, state="SUCCEEDED")
    assert kinds([entry()], replace(GOOD, events=[*GOOD.events, again])) == ["doubled"]


def test_a_repeat_that_nobody_sent_is_doubled():
    again = changed(GOOD.events[3], event_id="other", seq=5, event="duplicate")
    evidence = replace(GOOD, events=[*GOOD.events, again])
    assert kinds([entry()], evidence) == ["doubled"]
    assert kinds([entry(), entry(1, expect="repeat")], evidence) == []


def test_a_message_that_is_refused_twice_is_doubled():
    bad = entry(1, None, expect="refused", value=b"x")
    events = [record({"event_id": name, "seq": 0, "job_id": None, "state": "REJECTED", "event": "rejected",
                      "source": {"topic": "t", "partition": 0, "offset": 1}}) for name in "xy"]
    evidence = replace(GOOD, dead_letters=[letter(1, b"x")])
    assert kinds([entry(), bad], replace(evidence, events=[*GOOD.events, events[0], events[0]])) == []
    assert kinds([entry(), bad], replace(evidence, events=[*GOOD.events, *events])) == ["doubled"]


def test_a_job_without_an_end_is_unfinished():
    evidence = replace(GOOD, events=GOOD.events[:3])
    assert kinds([entry()], evidence) == ["unfinished"]
    assert kinds([entry()], evidence, finished=False) == []


def test_an_end_that_changes_is_found():
    later = changed(GOOD.events[3], event_id="z", seq=5, event="failed", state="FAILED")
    assert kinds([entry()], replace(GOOD, events=[*GOOD.events, later])) == ["changed"]
    assert kinds([entry()], replace(GOOD, events=[*GOOD.events, changed(later, state="QUEUED")])) == ["changed"]


def test_an_attempt_that_goes_back_is_found():
    assert kinds([entry()], replace(GOOD, events=[
        *GOOD.events[:2], changed(GOOD.events[2], attempt=2), GOOD.events[3]])) == ["changed"]


def test_an_end_without_a_reason_is_found():
    assert kinds([entry()], replace(GOOD, events=[*GOOD.events[:3], changed(GOOD.events[3], reason=None)])) == [
        "changed"]


def test_a_missing_event_or_one_out_of_order_is_a_gap():
    accepted, queued, started, succeeded = GOOD.events
    assert kinds([entry()], replace(GOOD, events=[accepted, started, succeeded])) == ["gap"]
    assert kinds([entry()], replace(GOOD, events=[queued, accepted, started, succeeded])) == ["gap"]


def test_a_repeat_told_after_the_end_has_no_fault():
    repeats = told("accepted", "queued", "started", "succeeded", "duplicate")
    assert kinds([entry(), entry(1, expect="repeat")], replace(GOOD, events=repeats)) == []


def test_a_refusal_has_its_dead_letter_with_the_same_bytes():
    bad = entry(1, None, expect="refused", value=b"x")
    assert kinds([entry(), bad], replace(GOOD, dead_letters=[letter(1, b"x")])) == []
    assert kinds([entry(), bad], GOOD) == ["lost"]
    assert kinds([entry(), bad], replace(GOOD, dead_letters=[letter(1, b"y")])) == ["wrong"]


def test_a_refusal_for_another_cause_is_wrong():
    bad = entry(1, None, expect="refused", codes=frozenset({"not_json"}))
    assert kinds([entry(), bad], replace(GOOD, dead_letters=[letter(1)])) == ["wrong"]


def test_a_good_message_that_was_refused_is_wrong():
    assert kinds([entry()], Evidence(dead_letters=[letter()])) == ["wrong"]


def test_a_bad_message_that_became_a_job_is_wrong():
    assert kinds([entry(expect="refused")], GOOD) == ["wrong"]


@pytest.mark.parametrize(("nonce", "started_s", "seen_s", "faults"), [
    ("a1", 1, 100, ["orphan"]), ("a1", 1, 6, []), ("unknown", 1, 100, ["orphan"]), ("unknown", 99, 100, [])])
def test_a_process_of_an_ended_attempt_is_an_orphan_after_five_seconds(nonce, started_s, seen_s, faults):
    process = Process(7, nonce, started_s * SECOND, "sleep")
    running = told("accepted", "queued", "started")
    evidence = replace(GOOD, events=running, processes=[process], seen_ns=seen_s * SECOND)
    assert kinds([entry()], evidence, finished=False) == faults


def test_a_process_of_an_ended_job_is_an_orphan_though_its_runner_wrote_no_end():
    evidence = replace(GOOD, events=told("accepted", "queued", "cancelled"), marks=run(end_s=None),
                       processes=[Process(7, "a1", SECOND, "sleep")])
    assert kinds([entry()], evidence) == ["orphan"]
