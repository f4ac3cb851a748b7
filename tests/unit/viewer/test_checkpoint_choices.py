"""What a page offers beside its model, for the folders that training and adaptation leave."""

import json

import pytest

from adaptive_nerf.models.checkpoint import open_checkpoint
from adaptive_nerf.models.manifest import NAME
from adaptive_nerf.viewer.checkpoint_choices import checkpoints_beside
from tests.support.viewer_scene import TRAINED_STEPS, make_trained_job

LAST = f"step{TRAINED_STEPS:06d}"


@pytest.fixture
def logs(tmp_path):
    make_trained_job(tmp_path)
    return tmp_path / "logs"


def write_child(logs, job, step, base, **record):
    """A checkpoint that says it was made from that one; the page reads no more of it than its manifest."""
    told = json.loads((logs / "trained/checkpoints" / LAST / NAME).read_bytes())
    told["lineage"] = [{"base": base, "op": "adapt", "batch": "event", "steps": 128, "at": "now", **record}]
    folder = logs / job / "checkpoints" / f"step{step:06d}"
    folder.mkdir(parents=True)
    (folder / NAME).write_text(json.dumps(told))
    return folder


def beside(logs):
    return checkpoints_beside(logs / "trained/checkpoints" / LAST, logs / "look")


def test_what_another_job_made_from_this_training_is_offered_first(logs):
    base = open_checkpoint(logs / "trained/checkpoints/step000003").digest
    adapted = write_child(logs, "adapted", 134, base)
    write_child(logs, "stranger", 134, "0" * 64)
    found = beside(logs)
    assert list(found) == ["Adapted to event: 128 steps (adapted)", "Checkpoint of step 3"]
    assert found["Adapted to event: 128 steps (adapted)"] == adapted


@pytest.mark.parametrize(("record", "name"), [({"batch": ""}, "Adapted to the check photos: 128 steps (other)"),
                                              ({"op": "train"}, "Trained further: 128 steps (other)"),
                                              ({"op": "merge"}, "Merged: 128 steps (other)")])
def test_it_is_said_how_it_was_made(logs, record, name):
    write_child(logs, "other", 9, open_checkpoint(logs / "trained/checkpoints" / LAST).digest, **record)
    assert name in beside(logs)


def test_a_damaged_pointer_takes_no_checkpoint_away(logs):
    (logs / "trained/checkpoints/best").write_text("half a na")
    assert list(beside(logs)) == ["Checkpoint of step 3"]


def test_a_damaged_one_is_not_offered_and_a_whole_one_is_as_soon_as_it_is_there(logs):
    base = open_checkpoint(logs / "trained/checkpoints" / LAST).digest
    path = write_child(logs, "adapted", 134, base) / NAME
    whole = path.read_text()
    path.write_text("{")
    assert list(beside(logs)) == ["Checkpoint of step 3"]
    path.write_text(whole)
    assert len(beside(logs)) == 2
