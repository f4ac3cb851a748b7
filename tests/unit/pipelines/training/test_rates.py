"""Learning rates, their schedule, and what each optimiser does."""

import pytest
import torch

from adaptive_nerf.engine.engines import engine
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.table_gradients import TableGradients
from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.models.parameters import FieldParameters
from adaptive_nerf.pipelines.meta_training import _schedule
from adaptive_nerf.pipelines.optimiser import DECAY, Optimiser
from adaptive_nerf.pipelines.rates import (
    GATHERED_FROM,
    PULLED_STEPS,
    TRAINING,
    Rates,
    Schedule,
    gather,
    pull,
    rates_of,
)
from tests.unit.pipelines.training.factory import learned, training_run


def rates(training_scene, tmp_path, **fields) -> Rates:
    return rates_of(training_run(training_scene, tmp_path / "job", **fields).spec)


def test_with_none_given_the_recipe_holds(training_scene, tmp_path):
    assert rates(training_scene, tmp_path, outer_steps=20_000) == TRAINING == Rates(3e-2, 2e-3, 2e-3, 2e-3, 1e-3)


@pytest.mark.parametrize(("fields", "networks"), [
    ({"outer_steps": 100}, 2e-2), ({"outer_steps": 3000}, 8e-3), ({"seconds": 120}, 8e-3), ({"seconds": 600}, 2e-3)])
def test_networks_hurry_in_a_short_run(training_scene, tmp_path, fields, networks):
    found = rates(training_scene, tmp_path, **fields)
    assert (found.trunks, found.heads, found.background) == pytest.approx((networks,) * 3)
    assert (found.tables, found.appearance) == (TRAINING.tables, TRAINING.appearance)


def test_groups_not_given_follow_from_lr(training_scene, tmp_path):
    found = rates(training_scene, tmp_path, lr=1e-4)
    assert (found.tables, found.trunks, found.heads, found.background) == pytest.approx((1e-2, 2e-3, 2e-3, 1e-3))


@pytest.mark.parametrize(("field", "group"), [("encoding_lr", "tables"), ("sigma_lr", "trunks"), ("color_lr", "heads"),
                                              ("bg_lr", "background"), ("appearance_lr", "appearance")])
@pytest.mark.parametrize("lr", [None, 1e-3])
def test_a_group_that_is_given_rules(training_scene, tmp_path, field, group, lr):
    found = rates(training_scene, tmp_path, lr=lr, **{field: 0.5})
    without = rates(training_scene, tmp_path, lr=lr)
    assert found == Rates(**{**vars(without), group: 0.5})


def test_after_a_warm_up_rates_stay_then_decay_to_their_last_share():
    schedule = Schedule("exponential", 0.1, warm_up=4)
    assert [schedule.factor(step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    assert schedule.factor(99, 0.2) == 1
    assert schedule.factor(99, 0.6) == pytest.approx(0.1**0.5)
    assert schedule.factor(99, 1.0) == pytest.approx(0.1)


def test_a_cosine_goes_down_another_way_to_the_same_end():
    schedule = Schedule("cosine", 0.1)
    assert schedule.factor(99, 0.6) == pytest.approx(0.55)
    assert schedule.factor(99, 1.0) == pytest.approx(0.1)


@pytest.mark.parametrize(("fields", "end"), [({}, 0.03), ({"decay_factor": 0.5}, 0.5), ({"schedule": "cosine"}, 0.03),
                                             ({"no_scheduler": True}, 1.0)])
def test_the_job_chooses_the_schedule(training_scene, tmp_path, fields, end):
    schedule = _schedule(training_run(training_scene, tmp_path / "job", **fields).spec)
    assert schedule.factor(99, 1.0) == pytest.approx(end)


@pytest.mark.parametrize("field", [{"schedule": "cosine"}, {"no_scheduler": True}, {"decay_factor": 0.5}])
def test_the_schedule_is_in_the_weights(train_job, field):
    assert learned(train_job("plain").out) != learned(train_job("changed", **field).out)


GRID = HashGrid(levels=2, features=2, log2_size=8, base=4, finest=16)


def one_step(kind: str, active=(1.0, 1.0)) -> tuple[FieldParameters, FieldParameters]:
    """Before and after a step along known gradients: 2 for networks, some for tables."""
    generator = torch.Generator().manual_seed(0)
    tables = torch.rand(2, GRID.rows, 2, generator=generator) + 1
    before = FieldParameters(tables, torch.ones(2, 4), torch.ones(1, 4), torch.ones(1, 4))
    parameters = before.copied().learnable()
    sink = TableGradients(GRID, 2)
    local, slots = torch.rand(8, 3, generator=generator), torch.tensor([0] * 4 + [1] * 4, dtype=torch.int32)
    engine().encode(parameters.tables, local, slots, GRID, sink).sum().backward()
    for name in ("trunks", "heads", "background"):
        getattr(parameters, name).grad = torch.full_like(getattr(parameters, name), 0.2)
    appearance = torch.zeros(3, 6)
    optimiser = Optimiser.of(engine(), kind, parameters, appearance, torch.tensor(active))
    optimiser.step(parameters, sink, appearance, Rates(0.1, 0.1, 0.1, 0.0, 0.1))
    return before, parameters.map(torch.Tensor.detach)


def test_adam_steps_by_its_rate_wherever_there_is_a_gradient():
    before, after = one_step("adam")
    moved = (before.tables - after.tables)
    assert torch.allclose(moved[moved != 0], torch.tensor(0.1), atol=1e-4)
    assert (moved == 0).any()
    assert torch.allclose(after.trunks, torch.tensor(0.9), atol=1e-4)


def test_adamw_lets_weights_decay_besides():
    _, plain = one_step("adam")
    before, after = one_step("adamw")
    assert torch.allclose(after.tables, plain.tables - 0.1 * DECAY * before.tables, atol=1e-6)
    assert torch.allclose(after.trunks, plain.trunks - 0.1 * DECAY, atol=1e-6)


def test_sgd_steps_along_the_gradient():
    before, after = one_step("sgd")
    assert torch.allclose(after.trunks, torch.tensor(1 - 0.1 * 0.2))
    moved = (before.tables - after.tables)[0]
    assert float(moved.sum()) == pytest.approx(0.1 * 4 * GRID.levels * 2, rel=1e-4)  # weights of a place sum up to 1


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_a_frozen_slot_and_a_group_of_rate_0_stay_to_the_last_bit(kind):
    before, after = one_step(kind, active=(1.0, 0.0))
    for name in ("tables", "trunks"):
        assert torch.equal(getattr(after, name)[1], getattr(before, name)[1])
        assert not torch.equal(getattr(after, name)[0], getattr(before, name)[0])
    assert torch.equal(after.background, before.background)


def test_a_wild_gradient_of_one_expert_is_cut_and_shortens_no_others():
    parameters = FieldParameters(torch.zeros(2, GRID.rows, 2), torch.zeros(2, 4), torch.zeros(1, 4), torch.zeros(1, 0))
    parameters.trunks.grad = torch.tensor([[300.0, 400, 0, 0], [0.3, 0, 0, 0]])
    optimiser = Optimiser.of(engine(), "sgd", parameters, torch.zeros(1, 6))
    optimiser.step(parameters, TableGradients(GRID, 2), torch.zeros(1, 6), Rates(0.1, 1.0, 0.0, 0.0, 0.0))
    assert torch.allclose(parameters.trunks, torch.tensor([[-0.6, -0.8, 0, 0], [-0.3, 0, 0, 0]]))


@pytest.mark.parametrize(("steps", "tables", "trunks"), [(100, 2.25e-2, 3e-3), (1000, 2.25e-2, 2e-4),
                                                         (1600, 1.17e-2, 7.8e-5), (2000, 7.5e-3, 5e-5),
                                                         (20_000, 7.5e-3, 5e-5)])
def test_a_model_that_was_hardly_trained_learns_more_from_new_photos(steps, tables, trunks):
    found = rates_of(job_of({"op": "adapt", "data_path": "x", "checkpoint_path": "y"}).job, steps)
    assert (found.tables, found.trunks) == pytest.approx((tables, trunks), rel=0.01)
    assert (found.heads, found.background, found.appearance) == (0, 0, 1e-2)


def test_depths_are_pulled_in_the_first_part_of_a_run_and_never_for_long():
    assert pull(0.0, 0) > pull(0.3, 400) > pull(0.7, 400) == 0
    assert pull(0.1, PULLED_STEPS) == 0


def test_what_is_spread_is_gathered_once_surfaces_are_known():
    assert gather(GATHERED_FROM - 1) == 0 < gather(GATHERED_FROM) == gather(100 * GATHERED_FROM)
