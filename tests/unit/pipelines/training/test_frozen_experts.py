"""`experts` trains those alone: everything else, and everything shared, stays to the last bit."""

import numpy as np
import pytest

from adaptive_nerf.common.errors import BadData, BadUsage
from tests.unit.pipelines.training.factory import Heard, last_of, learned

pytestmark = pytest.mark.usefixtures("lively_occupancy")
QUAD = {"mask_dirname": "quad"}


@pytest.fixture
def base(train_job) -> str:
    return str(train_job("base", **QUAD, outer_steps=4).out)


@pytest.mark.parametrize("fields", [{}, {"algo": "fomaml", "warmup_joint": 0.5}, {"optimizer": "adamw"},
                                    {"optimizer": "sgd", "lr": 0.1}], ids=str)
def test_others_and_what_is_shared_stay_to_the_last_bit(train_job, base, tmp_path, fields):
    done = train_job(**QUAD, checkpoint_path=base, experts=[0, 2], **fields)
    before, after = learned(tmp_path / "base"), learned(done.out)
    for name in ("expert_001", "expert_003", "shared"):
        assert after[f"{name}.safetensors"] == before[f"{name}.safetensors"], name
    for name in ("expert_000", "expert_002"):
        assert after[f"{name}.safetensors"] != before[f"{name}.safetensors"], name
    assert after["steps of experts"] == [10, 4, 10, 4]


def test_all_experts_named_still_leave_what_is_shared(train_job, base, tmp_path):
    done = train_job(**QUAD, checkpoint_path=base, experts=[0, 1, 2, 3])
    assert learned(done.out)["shared.safetensors"] == learned(tmp_path / "base")["shared.safetensors"]


def test_an_own_colour_head_is_the_experts(train_job, tmp_path):
    own = {**QUAD, "color_head": "own", "outer_steps": 3}
    base = train_job("base", **own)
    done = train_job(**own, checkpoint_path=str(base.out), experts=[1])
    before, after = (last_of(out).load().field.parameters.heads for out in (base.out, done.out))
    assert [bool((before[slot] != after[slot]).any()) for slot in range(4)] == [False, True, False, False]


def test_rays_are_those_of_the_experts_masks(prepared, base):
    everything, part = (len(prepared(name, **QUAD, checkpoint_path=base, **fields).joint.pool)
                        for name, fields in (("all", {}), ("one", {"experts": [0]})))
    assert 0 < part < 0.7 * everything


def test_masks_are_counted_while_they_are_read(prepared, base, monkeypatch):
    seen = []
    monkeypatch.setattr(Heard, "preparing", lambda self, *told: seen.append(told))
    prepared(**QUAD, checkpoint_path=base, experts=[0])
    assert [told for told in seen if told[0] == "masks_read"] == [("masks_read", number, 10) for number in range(1, 11)]


def test_without_a_model_to_start_from_it_is_refused(train_job):
    with pytest.raises(BadUsage, match="name it in checkpoint_path"):
        train_job(**QUAD, experts=[0])


def test_an_expert_that_is_not_there_is_named(train_job, base):
    with pytest.raises(BadUsage, match="experts names 7; the model has 0, 1, 2, 3"):
        train_job(**QUAD, checkpoint_path=base, experts=[0, 7])


def test_experts_without_a_pixel_are_refused(train_job, base, training_scene, monkeypatch):
    monkeypatch.setattr("adaptive_nerf.pipelines.training_start.load_mask",
                        lambda path, width, height, full_size: np.zeros((height, width), bool))
    with pytest.raises(BadData, match="no valid pixel"):
        train_job(**QUAD, checkpoint_path=base, experts=[0])
