"""A training that was ended in whatever way and gone on with is the one that was never ended, to the last bit."""

import json
import signal
import subprocess
import sys

import pytest

from adaptive_nerf.common.run_progress import StopRequested
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.pipelines import few_views, meta_training
from tests.unit.pipelines.training.factory import after_steps, last_of, learned

pytestmark = pytest.mark.usefixtures("lively_occupancy")
ACROSS = {"algo": "fomaml", "warmup_joint": 0.5, "outer_steps": 8}  # four joint steps, four of meta-learning


@pytest.mark.parametrize("algo", ["fomaml", "reptile"])
@pytest.mark.parametrize("inner_params", ["mlp", "all"])
def test_stopped_after_every_step_it_comes_to_the_same_bits(train_job, algo, inner_params):
    fields = {**ACROSS, "algo": algo, "inner_params": inner_params}
    unbroken = train_job("unbroken", **fields)
    for _ in range(8):
        with pytest.raises(StopRequested):
            train_job("broken", stop=after_steps(1), **fields)
    assert learned(train_job("broken", **fields).out) == learned(unbroken.out)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("appearance", ["affine", "code", "none"])
def test_stopped_in_the_joint_phase_with_any_optimiser(train_job, optimizer, appearance):
    fields = {"optimizer": optimizer, "appearance": appearance, "outer_steps": 5, "color_head": "own"}
    unbroken = train_job("unbroken", **fields)
    with pytest.raises(StopRequested):
        train_job("broken", stop=after_steps(3), **fields)
    assert learned(train_job("broken", **fields).out) == learned(unbroken.out)


def test_what_is_closed_because_few_photos_see_it_is_closed_after_a_resume_too(train_job, monkeypatch):
    for name, value in {"AFTER_STEPS": 2, "MANY": 2, "TRUSTED": 1}.items():
        monkeypatch.setattr(few_views, name, value)
    unbroken = train_job("unbroken", outer_steps=6)
    with pytest.raises(StopRequested):
        train_job("broken", stop=after_steps(3), outer_steps=6)
    assert any((file["may"] == 0).any() for file in last_of(unbroken.out.with_name("broken")).optimiser().values()
               if "may" in file)
    assert learned(train_job("broken", outer_steps=6).out) == learned(unbroken.out)


def test_on_top_of_another_model_it_is_asked_once_and_resumed_the_same(train_job, monkeypatch):
    for name, value in {"MANY": 2, "TRUSTED": 1}.items():
        monkeypatch.setattr(few_views, name, value)
    base, asked, ask = train_job("base", outer_steps=3), [], few_views.leave_to_the_ground
    monkeypatch.setattr(few_views, "leave_to_the_ground", lambda *a, **k: (asked.append(k), ask(*a, **k)))
    fields = {"checkpoint_path": str(base.out), "outer_steps": 4}
    unbroken = train_job("unbroken", **fields)
    with pytest.raises(StopRequested):
        train_job("broken", stop=after_steps(2), **fields)
    assert learned(train_job("broken", **fields).out) == learned(unbroken.out)
    assert asked == [{"goes_on": True}] * 2


@pytest.mark.parametrize("steps", [3, 7])
def test_killed_between_two_saves_it_goes_on_from_the_last(train_job, training_scene, tmp_path, clone, steps):
    fields = {**ACROSS, "save_step": 2}
    unbroken = train_job("unbroken", **fields)
    child = [sys.executable, "-m", "tests.unit.pipelines.training.killed", str(training_scene),
             str(tmp_path / "broken"), str(steps), json.dumps(fields)]
    assert subprocess.run(child, cwd=clone, check=False, capture_output=True).returncode == -signal.SIGKILL
    assert last_of(tmp_path / "broken").manifest.step == steps - steps % 2
    assert learned(train_job("broken", **fields).out) == learned(unbroken.out)


def lose_the_pointer(store):
    """Killed between the first save and its pointer."""
    (store.folder / "last").unlink()


def lose_what_it_names(store):
    """The folder was removed."""
    store.point("last", store.place(4))


@pytest.mark.parametrize("lose", [lose_the_pointer, lose_what_it_names])
def test_where_last_is_lost_it_goes_on_from_the_newest_that_is_whole(train_job, lose):
    unbroken = train_job("unbroken", outer_steps=5)
    with pytest.raises(StopRequested):
        train_job("broken", stop=after_steps(3), outer_steps=5, save_step=2)
    lose(CheckpointStore.of_job(unbroken.out.with_name("broken")))
    resumed = train_job("broken", outer_steps=5)
    assert resumed.progress.steps[0] == (3, 5)
    assert any("goes on from the newest that is there, step000003" in text for text in resumed.progress.warnings)
    assert learned(resumed.out) == learned(unbroken.out)


def test_without_the_optimisers_files_it_goes_on_with_fresh_moments(train_job):
    fields = {"outer_steps": 5}
    unbroken = train_job("unbroken", **fields)
    with pytest.raises(StopRequested):
        train_job("broken", stop=after_steps(3), **fields)
    for path in last_of(unbroken.out.with_name("broken")).folder.glob("optimiser_*"):
        path.unlink()
    resumed = train_job("broken", **fields)
    assert resumed.result.metrics["steps"] == last_of(resumed.out).manifest.step == 5
    assert last_of(resumed.out).manifest.training["taken"] == 2
    assert learned(resumed.out) != learned(unbroken.out)


def test_what_was_asked_for_on_top_of_another_model_is_counted_once(train_job):
    base = train_job("base", outer_steps=3)
    fields = {"checkpoint_path": str(base.out), "outer_steps": 4}
    unbroken = train_job("unbroken", **fields)
    with pytest.raises(StopRequested):
        train_job("broken", stop=after_steps(2), **fields)
    resumed = train_job("broken", **fields)
    assert learned(resumed.out) == learned(unbroken.out)
    assert last_of(resumed.out).manifest.step == 7
    assert resumed.result.metrics["steps"] == 4
    (entry,) = last_of(resumed.out).manifest.lineage
    assert (entry.op, entry.base, entry.steps) == ("train", last_of(base.out).digest, 4)


def test_a_job_that_is_done_takes_no_further_step(train_job):
    done = train_job(outer_steps=3)
    before = learned(done.out)
    again = train_job(outer_steps=3)
    assert learned(again.out) == before
    assert again.progress.steps[0] == (3, 3)


def test_a_resumed_job_tells_its_progress_from_where_it_goes_on(train_job):
    with pytest.raises(StopRequested):
        train_job(stop=after_steps(2), outer_steps=5)
    assert train_job(outer_steps=5).progress.steps[0] == (2, 5)


def test_stopped_while_photos_are_scored_the_steps_are_saved(train_job, tmp_path, monkeypatch):
    def stopped(*_):
        raise StopRequested("stopped while pictures were scored")
    monkeypatch.setattr(meta_training, "score_photos", stopped)
    with pytest.raises(StopRequested) as caught:
        train_job(eval_step=2)
    assert last_of(tmp_path / "job").manifest.step == 2
    assert caught.value.result.metrics["stopped"] == 1


def test_best_stays_what_scored_best_over_a_stop(train_job, monkeypatch):
    """Scores fall from 30 dB on, so the first is the best, whoever asks."""
    scored = iter(range(30, 0, -1))

    def score(*_):
        return [next(scored)]

    class Mean:
        def __init__(self, value):
            self.psnr_db = float(value)
            self.neutral = self.fitted = self
    monkeypatch.setattr(meta_training, "score_photos", score)
    monkeypatch.setattr(meta_training, "mean_score", lambda scores: Mean(scores[0]))
    fields = {"outer_steps": 6, "eval_step": 2, "save_step": 2}
    with pytest.raises(StopRequested):
        train_job(stop=after_steps(3), **fields)
    done = train_job(**fields)
    store = CheckpointStore.of_job(done.out)
    assert store.pointed("best").name == "step000002"
    assert store.pointed("last").name == "step000006"
