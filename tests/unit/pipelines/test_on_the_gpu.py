"""On CUDA: some steps of every kind, and an evaluation, as a job takes them."""

import math

import pytest
import torch

from adaptive_nerf.pipelines.adaptation import adapt
from adaptive_nerf.pipelines.evaluation import evaluate
from adaptive_nerf.pipelines.meta_training import train
from adaptive_nerf.pipelines.opening import device_of
from tests.unit.pipelines.adapt_scene import FLIGHT, adapt_run, make_adapted_root, small_world
from tests.unit.pipelines.eval_scene import eval_run
from tests.unit.pipelines.training.factory import learned, training_run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Trained there too, for 80 joint steps."""
    return make_adapted_root(tmp_path_factory.mktemp("on_the_gpu"))


@pytest.fixture(autouse=True)
def coarse_cells(monkeypatch):
    small_world(monkeypatch)


@pytest.mark.parametrize("fields", [{"algo": "joint"}, {"algo": "fomaml"}, {"algo": "reptile", "inner_params": "all"},
                                    {"algo": "joint", "optimizer": "adamw", "color_head": "own"}], ids=str)
def test_five_steps_of_training(root, tmp_path, fields):
    run = training_run(root / "scene", tmp_path / "job", warmup_joint=0.0, outer_steps=5, **fields)
    result = train(run)
    assert device_of(run.spec).type == "cuda"
    assert (result.metrics["steps"], result.metrics["skipped_steps"]) == (5, 0)
    assert math.isfinite(result.metrics["val_psnr_db"])


def test_a_resumed_training_takes_its_moments_there(root, tmp_path):
    for steps in (3, 5):
        run = training_run(root / "scene", tmp_path / "job", outer_steps=steps)
        assert train(run).metrics["steps"] == steps


def test_five_steps_of_adaptation_change_the_touched_experts_alone(root, tmp_path):
    run = adapt_run(root, tmp_path / "job", tto=5)
    result = adapt(run)
    assert (result.metrics["steps"], result.metrics["skipped_steps"]) == (5, 0)
    base, new = learned(root / "logs" / "trained"), learned(run.out)
    changed = [name for name, digest in new.items() if name.startswith("expert") and digest != base[name]]
    assert 0 < len(changed) == result.metrics["touched_experts"] < 4


@pytest.mark.parametrize("protocol", ["held_out", "same_images"])
def test_an_evaluation(root, protocol):
    metrics = evaluate(eval_run(root, protocol, batch=FLIGHT, tto="0,5", protocol=protocol)).metrics
    assert metrics["neutral_db_5"] != metrics["neutral_db_0"]
