"""What tells how good a state of a training is: val photos, and for meta-learning tasks over them."""

import pytest
import torch

from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.pipelines import joint, meta_training, val_tasks
from adaptive_nerf.pipelines.val_tasks import AFTER, BEFORE
from tests.unit.pipelines.training.test_algorithms import FULL, weights

META = {"algo": "fomaml", "inner_iter": 8, "inner_lr": 0.05, "warmup_joint": 0.0}


@pytest.fixture
def begun(prepared):
    """A start that has learned a little."""
    training = prepared(**META)
    for _ in range(30):
        training.joint.take(FULL)
    return training


def test_inner_steps_come_nearer_to_val_photos_that_they_did_not_see(begun):
    before = weights(begun)
    begun._evaluate()
    assert begun.latest[AFTER] > begun.latest[BEFORE] > 5
    assert all(torch.equal(one, other) for one, other in zip(before, weights(begun), strict=True))


def test_tasks_are_always_the_same_ones(begun):
    begun._evaluate()
    first = dict(begun.latest)
    begun.joint.step += 7
    begun._evaluate()
    assert begun.latest == first


def test_support_and_query_rays_are_of_different_val_photos(begun, monkeypatch):
    seen, drawn = [], val_tasks.drawn
    monkeypatch.setattr(val_tasks, "drawn", lambda *told: seen.append(drawn(*told)) or seen[-1])
    assert {loaded.photo.split for loaded in begun.val_tasks.store.photos} == {"val"}
    begun.val_tasks.cells[1].clear()  # with one task a round there is one photo on each side
    begun._evaluate()
    for support, query, n_tasks in seen:
        assert n_tasks == 1
        assert len(support) > len(query) > 0
        assert not set(support.photos.tolist()) & set(query.photos.tolist())


def test_a_start_is_scored_as_pictures_show_it_not_as_training_punishes_holes(begun, monkeypatch):
    begun._evaluate()
    told = begun.latest[BEFORE]
    monkeypatch.setattr(joint.Joint, "guard", lambda self, n_rays: None)
    begun._evaluate()
    assert begun.latest[BEFORE] == told


def test_the_best_is_the_one_that_shows_the_val_photos_best_whatever_the_tasks_say(begun):
    begun.latest, begun.scored_at, begun.best_db = {"val_fitted_db": 20.0, AFTER: 10.0}, begun.joint.step, 15.0
    assert begun._improved()
    begun.latest = {"val_fitted_db": 14.0, AFTER: 20.0}
    assert not begun._improved()


def test_tasks_wait_for_the_meta_phase(prepared):
    training = prepared(**META | {"warmup_joint": 0.5})
    training._evaluate()
    assert BEFORE not in training.latest
    training.plan.done = training.plan.steps // 2
    training._evaluate()
    assert BEFORE in training.latest


def test_joint_training_is_scored_by_photos_alone(prepared):
    training = prepared(algo="joint")
    training._evaluate()
    assert training.val_tasks is None
    assert training._score() == training.latest["val_fitted_db"]


def test_the_best_start_is_saved_when_it_is_found_and_not_when_the_next_save_is_due(train_job, monkeypatch):
    scores = {2: 20.0, 4: 22.0, 6: 21.0, 8: 19.0}
    monkeypatch.setattr(meta_training.Training, "_score", lambda self: scores[self.joint.step])
    done = train_job(algo="fomaml", warmup_joint=0.25, outer_steps=8, eval_step=2, save_step=1000)
    store = CheckpointStore.of_job(done.out)
    assert store.pointed("best").name == "step000004"
    assert store.pointed("last").name == "step000008"
    assert AFTER in done.result.metrics


def test_a_joint_training_is_saved_when_a_save_is_due_however_good_it_is(train_job):
    done = train_job(algo="joint", outer_steps=8, eval_step=2, save_step=4)
    assert list(CheckpointStore.of_job(done.out).steps()) == [4, 8]
    assert AFTER not in done.result.metrics
