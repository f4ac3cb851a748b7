import json
from argparse import Namespace
from datetime import datetime

import pytest

from adaptive_nerf.client import sending
from adaptive_nerf.client.sending import NotAJob, answer_of, message_of, new_job_id, no_answer
from adaptive_nerf.client.way import Way, way_of
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.jobs.control import ControlServer
from adaptive_nerf.jobs.fields import Group, JobId
from adaptive_nerf.jobs.settings import Topics
from tests.support.event_streams import Told, event

NOON = datetime(2026, 3, 4, 12, 0, 5)
WAY = Way(Topics("nerfConfigs"), "kafka:9092", {})


class Named(Group):
    job_id: JobId


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"op": "train", "data_path": "data/town"}))
    return path


def test_a_message_gets_a_name_that_says_what_and_when(config):
    names = {message_of(config, [], None, NOON)["job_id"] for _ in range(20)}
    assert len(names) > 1
    assert all(name.startswith("train-20260304-120005-") for name in names)
    assert Named(job_id=new_job_id("train", NOON))


def test_a_name_of_the_sender_stays(config):
    assert message_of(config, ['job_id="mine"'], None, NOON)["job_id"] == "mine"
    assert message_of(config, [], "other", NOON)["job_id"] == "other"


def test_only_what_was_given_is_sent(config):
    assert message_of(config, ["seed=3"], "a", NOON) == {"op": "train", "data_path": "data/town", "seed": 3,
                                                       "job_id": "a"}


def test_every_fault_is_told_before_anything_is_sent(config):
    with pytest.raises(NotAJob) as caught:
        message_of(config, ["sead=3", "lr=x"], "a/b", NOON)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{config} is no job, for 3 reasons:"
    assert "  sead: unknown; did you mean seed?" in lines


def test_a_file_that_is_no_json_says_where(config):
    config.write_text('{"op": "train",}')
    with pytest.raises(NotAJob, match=r"train\.json is no job: it is not JSON at line 1 column 16"):
        message_of(config, [], None, NOON)


def test_the_answer_is_what_comes_up_to_the_first_word_on_the_course():
    stream = Told([], [event("accepted"), event("warning")], [event("queued")], [event("started")])
    assert [told["event"] for told in answer_of(stream, "a", 60.0)] == ["accepted", "warning", "queued"]


def test_a_refusal_is_told_field_by_field():
    refused = event("rejected", "REJECTED", reason="path_outside",
                    errors=[{"field": "/data_path", "message": "leads outside", "hint": "use data/"}])
    with pytest.raises(NotAJob, match="the service refuses a: data_path: leads outside; use data/"):
        answer_of(Told([refused]), "a", 60.0)


def test_a_refusal_without_fields_still_has_a_reason():
    with pytest.raises(NotAJob, match="the service refuses a: it is refused: too_large"):
        answer_of(Told([event("rejected", reason="too_large", errors=[])]), "a", 60.0)


@pytest.mark.parametrize(("status", "told"), [
    ({"topic": "other"}, "serves the topic other"), ({"topic": "nerfConfigs", "broker": "b:1"}, "the broker b:1"),
    ({"topic": "nerfConfigs", "broker": "kafka:9092", "why": "the disk is full"}, "the disk is full"),
    ({"topic": "nerfConfigs", "broker": "kafka:9092"}, "its log, logs/mediator.txt")])
def test_where_nobody_answers_the_reason_is_looked_for(tmp_path, status, told):
    server = ControlServer(tmp_path / "control.sock", lambda _: status)
    line = str(no_answer(WAY, tmp_path, "a", 15.0))
    server.close()
    assert line.startswith("a is in the topic nerfConfigs at kafka:9092, but no mediator answered within 15 s: ")
    assert told in line
    assert "It is not lost" in line


def test_without_a_mediator_its_start_is_told(tmp_path):
    assert "start one with: python3 mediator.py --topic nerfConfigs --broker kafka:9092" in str(
        no_answer(WAY, tmp_path, "a", 15.0))


def given(state, broker=None):
    return Namespace(topic="nerfConfigs", broker=broker, state=state, kafka_config=None)


def test_the_broker_is_the_one_given_else_the_usual_one(tmp_path):
    assert way_of(given(tmp_path, "kafka:1")).address == "kafka:1"
    assert way_of(given(tmp_path)).address == "localhost:9092"
    with pytest.raises(BadUsage, match="no development broker runs with the state folder"):
        way_of(given(tmp_path, "embedded"))


def test_a_wait_for_warnings_is_short(monkeypatch):
    monkeypatch.setattr(sending, "WARNINGS_S", 0.0)
    assert [told["event"] for told in answer_of(Told([event("accepted")]), "a", 60.0)] == ["accepted"]
