"""Messages become jobs: stored, committed, then free to start, and in no other order."""

import json
from dataclasses import replace

import pytest

from adaptive_nerf.common.transport import Assigned, CommitFailed, Fenced, Partition, Received
from adaptive_nerf.jobs.intake import BEGINNING, Intake, TopicReplaced
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.settings import Topics
from adaptive_nerf.jobs.states import State
from adaptive_nerf.jobs.store import Store

JOBS = Assigned(Partition("t", 0), "cluster", "first-life", None, "")


class Log:
    """A message source in memory: what is in the topic, and what was committed of it."""

    connected, last_error = True, ""

    def __init__(self, *messages):
        self.messages, self.place, self.committed, self.failure = list(messages), JOBS, {}, None
        self.marks = []

    def take(self, wait_s=0.2, most=500):
        taken, self.messages = self.messages[:most], self.messages[most:]
        return taken

    def commit(self, next_offsets, mark):
        if self.failure:
            raise self.failure
        self.committed.update(next_offsets)
        self.marks.append(mark)

    def refresh(self):
        return [self.place]

    def assigned(self):
        return [JOBS]

    def missing(self):
        return []


def message(offset, topic="t", **sent):
    sent = sent or {"op": "train", "data_path": "data/town"}
    return Received(topic, 0, offset, "cluster", "first-life", json.dumps(sent).encode())


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "state", "mediator-1")
    yield found
    found.close()


@pytest.fixture
def intake(store, tmp_path):
    roots = Roots.of(tmp_path / "logs", [tmp_path / "data"], tmp_path)
    return Intake(store, "mediator-1", roots, Topics("t"), lambda: None)


def states(store):
    return {job.job_id: job.state for job in store.jobs()}


def test_a_job_may_start_only_after_its_offset_is_committed(intake, store):
    log = Log(message(0, op="train", data_path="data/town", job_id="a"))
    log.failure = CommitFailed("the broker is away")
    with pytest.raises(CommitFailed):
        intake.step(log)
    assert states(store) == {"a": State.ACCEPTED}
    log.failure = None
    intake.step(log)
    assert states(store) == {"a": State.QUEUED}
    assert log.committed == {Partition("t", 0): 1}


def test_who_is_fenced_lets_go_of_what_is_not_committed(intake, store):
    log = Log(message(0, op="train", data_path="data/town", job_id="a"))
    log.failure = Fenced("another member")
    with pytest.raises(Fenced):
        intake.step(log)
    intake.fenced(log.assigned())
    assert states(store) == {}


def test_a_redelivery_changes_nothing(intake, store):
    for _ in range(2):
        intake.step(Log(message(0), message(1)))
    assert len(states(store)) == 2


def test_a_message_of_a_topic_made_anew_is_not_taken_for_an_old_one(intake):
    log = Log(message(0))
    log.place = replace(JOBS, incarnation="second-life")
    with pytest.raises(TopicReplaced):
        intake.step(log)


@pytest.mark.parametrize(("mark", "committed", "start", "state"), [
    ("mediator-1.7.abc first-life", 1, None, State.QUEUED),  # we had committed it, and died before we knew
    ("", 1, None, State.QUEUED),  # a person has moved the group on
    ("mediator-2 first-life", 1, None, None),  # another mediator has run it
    ("mediator-1.9.def first-life", 1, None, None),  # so has one with a copy of our state folder
    ("mediator-1.7.abc an-older-life", 9, BEGINNING, State.ACCEPTED),  # the stored offset is of a deleted topic
    ("", None, None, State.ACCEPTED),  # never committed: it comes again
], ids=["ours", "moved", "taken", "copy", "other topic", "never"])
def test_at_a_start_the_mark_says_what_becomes_of_jobs_in_between(intake, store, mark, committed, start, state):
    log = Log(message(0, op="train", data_path="data/town", job_id="a"))
    log.failure = CommitFailed("killed here")
    with pytest.raises(CommitFailed):
        intake.step(log)
    intake.forget()
    intake.store.set_fact("connections", '["mediator-1.7.abc"]')
    assert intake.start_at(replace(JOBS, committed=committed, mark=mark)) == start
    assert states(store).get("a") == state


def test_the_commit_is_marked_with_who_and_which_life_of_the_topic(intake):
    log = Log(message(0))
    name = intake.new_connection()
    intake.step(log)
    assert log.marks == [f"{name} first-life"]
    assert name in intake.own_connections()


def test_accepted_jobs_of_a_topic_that_is_gone_start_all_the_same(intake, store):
    log = Log(message(0, op="train", data_path="data/town", job_id="a"))
    log.failure = CommitFailed("killed here")
    with pytest.raises(CommitFailed):
        intake.step(log)
    intake.forget()
    other = Log()
    other.assigned = lambda: [replace(JOBS, incarnation="second-life")]
    intake.step(other)
    assert states(store) == {"a": State.QUEUED}


def test_a_bad_message_is_answered_and_the_next_one_taken(intake, store):
    intake.step(Log(message(0, op="fly"), message(1, op="train", data_path="data/town", job_id="good")))
    assert states(store) == {"good": State.QUEUED}
    letters = [record for record in store.unpublished(100) if record.stream == "dead-letters"]
    assert [letter.headers["error_code"] for letter in letters] == ["bad_op"]


def test_a_cancel_may_come_before_its_job(intake, store):
    intake.step(Log(message(0, topic="t.control", verb="cancel", job_id="a")))
    intake.step(Log(message(1, op="train", data_path="data/town", job_id="a")))
    assert states(store) == {"a": State.CANCELLED}


def test_a_request_that_is_delivered_again_does_nothing_again(intake, store):
    intake.step(Log(message(0, op="train", data_path="data/town", job_id="a")))
    store.ask_cancel("a")
    for _ in range(2):
        intake.step(Log(message(5, topic="t.control", verb="retry", job_id="a")))
        store.ask_cancel("a-retry1")
    assert sorted(states(store)) == ["a", "a-retry1"]


def test_a_bad_request_is_a_dead_letter_too(intake, store):
    intake.step(Log(message(0, topic="t.control", verb="explode", job_id="a")))
    letters = [record for record in store.unpublished(100) if record.stream == "dead-letters"]
    assert [letter.headers["error_code"] for letter in letters] == ["bad_control"]


def test_messages_of_a_partition_that_went_to_another_are_forgotten(intake, store):
    log = Log(message(0))
    log.refresh = lambda: (_ for _ in ()).throw(CommitFailed("away"))
    with pytest.raises(CommitFailed):
        intake.step(log)
    intake.lost([JOBS])
    assert intake.step(Log()) == 0
    assert states(store) == {}
