"""What a training puts up with, and what it refuses."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adaptive_nerf.common.errors import BadData, BadInput, BadUsage, Failure
from adaptive_nerf.jobs.states import Exit
from adaptive_nerf.nerf_runner import exit_code
from adaptive_nerf.pipelines import meta, meta_training
from adaptive_nerf.pipelines.patience import FEWEST_SAMPLES, MOST_SKIPPED_IN_A_ROW
from adaptive_nerf.pipelines.rates import TRAINING
from adaptive_nerf.pipelines.trackers import FOLDER
from tests.support.waiting import wait_until
from tests.unit.pipelines.training.factory import SMALL, last_of, write_training_scene

META = {"algo": "fomaml", "warmup_joint": 0.0}


@pytest.fixture
def no_number(monkeypatch):
    """Losses of the steps that are named are no numbers; of all where none is named."""
    def at(*steps):
        real = meta_training.Joint.learn

        def learn(self, batch, rates):
            if not steps or self.step in steps:
                batch = type(batch)(batch.origins, batch.directions, batch.colours * math.nan, batch.photos)
            return real(self, batch, rates)
        monkeypatch.setattr(meta_training.Joint, "learn", learn)
    return at


def test_a_step_without_a_number_is_skipped_and_counted(train_job, no_number):
    no_number(1, 3)
    done = train_job(outer_steps=6)
    assert done.result.metrics["skipped_steps"] == 2
    assert done.result.metrics["steps"] == 6
    assert all(value.isfinite().all() for _, value in last_of(done.out).load().field.parameters.named())


def test_a_skipped_step_changes_no_weight(prepared, no_number):
    training = prepared()
    no_number(0)
    before = [value.detach().clone() for _, value in training.joint.field.parameters.named()]
    training._step(TRAINING)
    assert training.joint.step == 1
    assert all(torch.equal(one, other) for one, (_, other) in
               zip(before, training.joint.field.parameters.named(), strict=True))


def test_a_meta_step_without_a_number_is_skipped_too(prepared, monkeypatch):
    training = prepared(**META)
    before = [value.detach().clone() for _, value in training.joint.field.parameters.named()]
    monkeypatch.setattr(meta, "as_taken", lambda kind, colours, look: colours * math.nan)
    training._step(TRAINING)
    assert training.patience.skipped == 1
    assert not training.joint.sink.pending
    assert all(torch.equal(one, other) for one, (_, other) in
               zip(before, training.joint.field.parameters.named(), strict=True))


@pytest.mark.parametrize(("name", "fields"), [
    *[(name, {}) for name in ("trunks", "heads", "background", "appearance")],
    *[(name, META) for name in ("heads", "background", "appearance")]], ids=str)
def test_a_gradient_that_is_no_number_is_skipped_though_the_loss_is_one(prepared, name, fields):
    training = prepared(**fields)
    joint = training.joint
    values = {**dict(joint.field.parameters.named()), "appearance": joint.appearance.values}
    before = {each: value.detach().clone() for each, value in values.items()}
    broken = values[name].register_hook(lambda gradient: gradient * math.nan)
    training._step(TRAINING)
    assert (training.patience.skipped, training.joint.step) == (1, 1)
    assert all(torch.equal(before[each], value) for each, value in values.items())
    broken.remove()
    training._step(TRAINING)
    assert training.patience.in_a_row == 0
    assert not torch.equal(before[name], values[name])
    assert all(value.isfinite().all() for value in values.values())


def test_twenty_in_a_row_fail_with_the_step_and_the_rates(train_job, no_number):
    no_number()
    with pytest.raises(Failure, match=r"20 steps in a row, up to step 19; lower the learning rates \(tables .*trunks"):
        train_job(outer_steps=50)
    assert MOST_SKIPPED_IN_A_ROW == 20


def out_of_memory(monkeypatch, owner, name, times, error):
    real, left = getattr(owner, name), [times]

    def run(*args, **named):
        if left[0]:
            left[0] -= 1
            raise error
        return real(*args, **named)
    monkeypatch.setattr(owner, name, run)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")], ids=str)
def test_out_of_memory_halves_the_samples_and_goes_on(train_job, monkeypatch, error):
    out_of_memory(monkeypatch, meta_training.Joint, "learn", 1, error)
    done = train_job(outer_steps=5, samples=8192)
    assert last_of(done.out).manifest.training["sampling"]["samples"] == 4096
    assert (done.result.metrics["steps"], done.result.metrics["skipped_steps"]) == (5, 1)


def test_out_of_memory_makes_meta_learnings_tasks_smaller(prepared, monkeypatch):
    training = prepared(**META, samples=8192, support_rays=100, query_rays=50)
    asked, step = [], meta_training.outer_step
    monkeypatch.setattr(meta_training, "outer_step",
                        lambda *args: asked.append((args[3].support_rays, args[3].query_rays)) or step(*args))
    out_of_memory(monkeypatch, meta, "adapted", 1, MemoryError())
    training._step(TRAINING)
    training._step(TRAINING)
    assert asked == [(100, 50), (50, 25)]


def test_memory_that_never_suffices_ends_the_job(train_job, monkeypatch):
    out_of_memory(monkeypatch, meta_training.Joint, "learn", 100, MemoryError())
    with pytest.raises(MemoryError) as caught:
        train_job(outer_steps=50, samples=8 * FEWEST_SAMPLES)
    assert exit_code(caught.value) is Exit.OUT_OF_MEMORY


def test_out_of_memory_while_val_photos_are_scored_ends_no_training(train_job, monkeypatch):
    out_of_memory(monkeypatch, meta_training, "score_photos", 2, MemoryError())
    done = train_job(outer_steps=6, eval_step=2)
    assert last_of(done.out).manifest.step == done.result.metrics["steps"] == 6
    assert [text for text in done.progress.warnings if "memory" in text] == [
        "memory ran out while val photos were scored: there are no scores of that step, and the training goes on; "
        "lower chunk_points"]
    assert done.result.metrics["val_step"] == 6


def test_no_scores_at_all_are_none_in_the_result(train_job, monkeypatch):
    out_of_memory(monkeypatch, meta_training, "score_photos", 100, MemoryError())
    assert not any(name.startswith("val_") for name in train_job(outer_steps=2).result.metrics)


def test_an_error_of_scoring_that_is_no_want_of_memory_is_raised(train_job, monkeypatch):
    out_of_memory(monkeypatch, meta_training, "score_photos", 1, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        train_job()


@pytest.mark.parametrize("photos", [1, 2])
def test_the_result_tells_how_many_val_photos_its_scores_are_of_and_after_which_step(train_job, photos):
    metrics = train_job(outer_steps=3, test_batch_size=photos).result.metrics
    assert (metrics["val_photos"], metrics["val_step"]) == (photos, 3)


def test_photos_that_cannot_be_fitted_have_no_fitted_score_and_best_goes_by_the_neutral_one(prepared, monkeypatch):
    scored = meta_training.score_photos
    monkeypatch.setattr(meta_training, "score_photos", lambda *told: [replace(score, fitted=None)
                                                                      for score in scored(*told)])
    training = prepared()
    training._evaluate()
    assert "val_fitted_db" not in training.latest
    assert training._score() == training.latest["val_psnr_db"]


def test_another_error_is_no_want_of_memory(train_job, monkeypatch):
    out_of_memory(monkeypatch, meta_training.Joint, "learn", 1, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        train_job()


@pytest.fixture
def base(train_job) -> str:
    return str(train_job("base", outer_steps=2).out)


@pytest.mark.parametrize(("fields", "key"), [
    ({"log2_hashmap_size": 11}, "log2_hashmap_size"), ({"levels": 5}, "levels"), ({"sigma_depth": 2}, "sigma_depth"),
    ({"color_head": "own"}, "color_head"), ({"appearance": "code"}, "appearance"), ({"no_bg_nerf": True}, "bg_hidden"),
    ({"density_bias": 0.0}, "density_bias")], ids=str)
def test_a_field_that_disagrees_with_the_checkpoint_is_refused(train_job, base, fields, key):
    with pytest.raises(BadData, match=f"key '{key}'") as caught:
        train_job(checkpoint_path=base, **fields)
    assert exit_code(caught.value) is Exit.BAD_DATA


def test_the_architecture_comes_from_the_checkpoint_where_the_job_says_nothing(train_job, base):
    silent = dict.fromkeys(("levels", "features", "log2_hashmap_size", "max_resolution", "dim_hidden", "color_hidden",
                            "bg_hidden"))
    assert last_of(train_job(checkpoint_path=base, **silent).out).architecture == last_of(Path(base)).architecture


def test_a_prefix_that_is_not_there_is_refused_with_the_list_of_those_that_are(train_job, base):
    with pytest.raises(BadInput, match=r"has no checkpoint 'step7'; there are: best, last, step2") as caught:
        train_job(checkpoint_path=base, prefix="step7")
    assert exit_code(caught.value) is Exit.BAD_DATA


def test_a_checkpoint_path_without_one_is_refused(train_job):
    with pytest.raises(BadInput, match="'nobody' holds no checkpoint; give a job_id"):
        train_job(checkpoint_path="nobody")


@pytest.mark.parametrize("value", ["base", "logs/base", "base/checkpoints/step000002"])
def test_a_checkpoint_is_found_by_job_id_or_folder(train_job, base, value):
    assert last_of(train_job(checkpoint_path=value, outer_steps=1).out).manifest.step == 3


def test_another_partition_is_refused(train_job, base):
    with pytest.raises(BadData, match="another partition than quad"):
        train_job(checkpoint_path=base, mask_dirname="quad")


def test_another_scene_is_refused_for_a_start_and_for_a_resume(train_job, base, tmp_path):
    other = str(write_training_scene(tmp_path / "other", shift_m=1.0))
    for name, fields in (("new", {"checkpoint_path": base}), ("base", {})):
        with pytest.raises(BadData, match="was trained on another scene"):
            train_job(name, data_path=other, **fields)


def test_a_missing_partition_is_refused_with_the_list_of_those_there(train_job):
    with pytest.raises(BadUsage, match="there are: pair, quad"):
        train_job(mask_dirname="")


def test_a_damaged_last_checkpoint_is_refused_and_never_replaced_by_random_weights(train_job, base, tmp_path):
    path = last_of(tmp_path / "base").folder / "expert_001.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadData, match="the checkpoint is not whole"):
        train_job("base", outer_steps=4)


def test_sigterm_to_a_real_runner_leaves_a_checkpoint_and_a_result(training_scene, tmp_path, clone):
    message = {**SMALL, "data_path": str(training_scene), "mask_dirname": "pair", "outer_steps": 100_000,
               "eval_step": 20}
    (tmp_path / "message.json").write_text(json.dumps(message))
    job = tmp_path / "job"
    command = [sys.executable, "-m", "adaptive_nerf.nerf_runner", "--configPath", str(tmp_path / "message.json"),
               "--out", str(job)]
    with subprocess.Popen(command, cwd=clone, env={**os.environ, "PYTHONPATH": str(clone)},
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: "val_psnr_db" in told(job)["metrics"], "val photos are scored, and it is told", 120)
            wait_until(lambda: list((job / FOLDER).glob("events*")), "TensorBoard's file is there")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == Exit.STOPPED
    result = json.loads((job / "result.json").read_text())
    checkpoint = last_of(job)
    assert result["stopped"] is True
    assert result["artifacts"] == [str(checkpoint.folder.relative_to(job))]
    assert checkpoint.load().step == result["metrics"]["steps"] == checkpoint.manifest.step > 0
    assert told(job)["of"] == 100_000


def told(job) -> dict:
    path = job / "progress.json"
    return json.loads(path.read_text()) if path.exists() else {"metrics": {}}


def test_curves_are_whole_and_told_once_though_it_was_killed(train_job, training_scene, tmp_path, clone):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fields = {"outer_steps": 25, "eval_step": 5, "save_step": 10}
    child = [sys.executable, "-m", "tests.unit.pipelines.training.killed", str(training_scene),
             str(tmp_path / "job"), "22", json.dumps(fields)]
    subprocess.run(child, cwd=clone, check=False, capture_output=True)
    ended = int(time.time())
    wait_until(lambda: int(time.time()) > ended, "another second: files of events are read in the order of theirs")
    train_job(**fields)
    curves = event_accumulator.EventAccumulator(str(tmp_path / "job" / FOLDER))
    curves.Reload()
    assert [event.step for event in curves.Scalars("joint/loss")] == [1, 11, 21]
    assert [event.step for event in curves.Scalars("val/val_psnr_db")] == [5, 10, 15, 20, 25]
    assert curves.Tags()["images"] == ["val/000002"]
