"""Everything random follows from the seed; nothing from threads."""

import pytest

from adaptive_nerf.engine import threads
from tests.unit.pipelines.training.factory import learned

pytestmark = pytest.mark.usefixtures("lively_occupancy")
FIELDS = {"algo": "fomaml", "warmup_joint": 0.5, "outer_steps": 6, "inner_params": "all"}


@pytest.fixture
def with_threads(monkeypatch):
    monkeypatch.setattr(threads, "_chosen", [threads.threads()])
    return threads.set_threads


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(train_job, with_threads):
    found = []
    for count in (1, 2, 5):
        with_threads(count)
        found.append(learned(train_job(f"threads{count}", **FIELDS).out))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("fields", [{"algo": "joint"}, FIELDS], ids=["joint", "meta"])
def test_another_seed_gives_other_weights(train_job, fields):
    one, other = (learned(train_job(f"seed{seed}", **{**fields, "seed": seed}).out) for seed in (0, 1))
    assert one["expert_000.safetensors"] != other["expert_000.safetensors"]
    assert one["shared.safetensors"] != other["shared.safetensors"]
