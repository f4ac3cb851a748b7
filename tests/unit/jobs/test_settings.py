"""What a mediator is asked to be is checked before anything begins."""

import pytest

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.settings import Settings, Topics


def settings(folder, **changes):
    runner = folder / "runner.py"
    runner.touch()
    return Settings(**{"topics": Topics("t"), "group_id": "g", "roots": Roots.of(folder, [], folder), "state": folder,
                       "logs": folder, "runner": runner, "devices": None, "slots": None, "light_slots": 4, "http": "",
                       "grace_s": 30.0, "retry_base_s": 10.0, "backlog": 100, "at_stop": "leave"} | changes)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "x" * 201, "tópico"])
def test_a_bad_topic_is_named(name):
    with pytest.raises(BadUsage, match="--topic"):
        Topics(name)


def test_every_topic_stands_beside_the_first():
    topics = Topics("nerfConfigs")
    assert (topics.control, topics.of_stream("events"), topics.of_stream("dead-letters")) == (
        "nerfConfigs.control", "nerfConfigs.events", "nerfConfigs.dead-letters")


@pytest.mark.parametrize(("field", "value", "flag"), [
    ("grace_s", -1.0, "--grace"), ("grace_s", float("nan"), "--grace"), ("retry_base_s", -0.1, "--retry-base"),
    ("backlog", 0, "--backlog"), ("light_slots", -1, "--light-slots")])
def test_a_number_that_makes_no_sense_names_its_flag(tmp_path, field, value, flag):
    settings(tmp_path)
    with pytest.raises(BadUsage, match=flag):
        settings(tmp_path, **{field: value})


def test_a_group_without_a_name_is_refused(tmp_path):
    with pytest.raises(BadUsage, match="--group_id is empty"):
        settings(tmp_path, group_id=" ")


def test_a_runner_that_is_not_there_is_named_at_once(tmp_path):
    with pytest.raises(BadUsage, match="--runner"):
        settings(tmp_path, runner=tmp_path / "none.py")
