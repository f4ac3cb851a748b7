"""Each way to train takes steps that lower its loss, and changes what it says it changes."""

import numpy as np
import pytest
import torch

from adaptive_nerf.models.backdrop import leaves_at
from adaptive_nerf.models.field import radiance
from adaptive_nerf.pipelines.joint import SAMPLES_A_RAY, TOGETHER_STEPS
from adaptive_nerf.pipelines.meta import MetaSettings, outer_step
from adaptive_nerf.pipelines.rates import Rates
from tests.unit.pipelines.training.factory import learned

NONE = Rates(0.0, 0.0, 0.0, 0.0, 0.0)
FULL = Rates(3e-2, 2e-3, 2e-3, 2e-3, 1e-3)
SETTINGS = {"algo": "fomaml", "inner_params": "mlp", "inner_steps": 3, "inner_rate": 0.05, "rounds": 1,
            "support_rays": 64, "query_rays": 64}


def taken(training, rates, **changes) -> float:
    training.cells = training.cells or training._find_cells()
    return outer_step(training.joint, training.cells, training.ground_x, MetaSettings(**{**SETTINGS, **changes}), rates)


def weights(training) -> list[torch.Tensor]:
    return [value.detach().clone() for _, value in training.joint.field.parameters.named()]


def loss_on_fixed_tasks(training, **changes) -> float:
    """After the inner steps, on the query rays of some tasks."""
    step, losses = training.joint.step, []
    for number in range(4):
        training.joint.step = 10_000 + number
        losses.append(taken(training, NONE, **changes))
    training.joint.step = step
    return float(np.mean(losses))


def test_joint_steps_lower_the_loss(prepared):
    training = prepared()
    losses = [training.joint.take(FULL).loss for _ in range(80)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_trunks_learn_as_one_at_first_and_apart_later(prepared):
    joint = prepared().joint
    for step, alike in ((0, True), (TOGETHER_STEPS, False)):
        joint.step = step
        joint.take(FULL)
        trunks = joint.field.parameters.trunks.detach()
        assert (trunks == trunks[:1]).all() == alike


def test_a_pull_moves_depths_away_from_the_cameras(prepared):
    depths = []
    for pull in (0.0, 0.1):
        joint = prepared().joint
        joint.full_from, joint.pull = 1.0, pull
        for _ in range(40):
            joint.take(FULL)
        batch = joint.draw()
        rays = joint.rays_of(batch)
        with torch.no_grad():
            seen = radiance(joint.field, rays, joint.field.march(rays, 100_000))
            depth = seen.composited.depth + (1 - seen.opacity) * leaves_at(rays, joint.field.regions)
        depths.append(float(depth.mean()))
    assert depths[1] > depths[0]


def test_what_is_gathered_lies_less_spread_along_rays(prepared):
    spreads = []
    for gather in (0.0, 0.1):
        joint = prepared().joint
        joint.full_from, joint.gather = 1.0, gather
        for _ in range(40):
            joint.take(FULL)
        rays = joint.rays_of(joint.draw())
        with torch.no_grad():
            seen = radiance(joint.field, rays, joint.field.march(rays, 100_000))
        spreads.append(float(seen.composited.distortion.mean()))
    assert spreads[1] < 0.8 * spreads[0]


@pytest.mark.parametrize("algo", ["fomaml", "reptile"])
@pytest.mark.parametrize("inner_params", ["mlp", "all"])
def test_outer_steps_lower_the_loss_on_query_rays(prepared, algo, inner_params):
    training = prepared(algo=algo)
    before = loss_on_fixed_tasks(training, inner_params=inner_params)
    for _ in range(50):
        taken(training, FULL, algo=algo, inner_params=inner_params)
    assert loss_on_fixed_tasks(training, inner_params=inner_params) < 0.8 * before


@pytest.mark.parametrize("inner_params", ["mlp", "all"])
def test_the_inner_loop_leaves_the_start_as_it_was(prepared, inner_params):
    training = prepared(algo="fomaml")
    before = weights(training)
    taken(training, NONE, inner_params=inner_params)
    assert all(torch.equal(one, other) for one, other in zip(before, weights(training), strict=True))


@pytest.mark.parametrize("inner_params", ["mlp", "all"])
def test_inner_steps_help_on_photos_that_they_did_not_see(prepared, inner_params):
    training = prepared(algo="fomaml")
    for _ in range(30):
        training.joint.take(FULL)
    start = training.joint.step

    def loss(inner_steps):
        training.joint.step = start  # the same tasks
        return taken(training, NONE, inner_params=inner_params, inner_steps=inner_steps)
    assert loss(8) < loss(0)


def test_with_mlp_reptile_moves_trunks_by_the_way_that_they_went(prepared):
    """Where the inner steps go nowhere, so does the start."""
    training = prepared(algo="reptile")
    before = training.joint.field.parameters.trunks.detach().clone()
    only_trunks = Rates(0.0, 1e-3, 0.0, 0.0, 0.0)
    taken(training, only_trunks, algo="reptile", inner_steps=0)
    assert torch.equal(training.joint.field.parameters.trunks, before)
    taken(training, only_trunks, algo="reptile")
    assert not torch.equal(training.joint.field.parameters.trunks, before)


def test_with_all_reptile_moves_tables_by_the_way_that_they_went(prepared):
    training = prepared(algo="reptile")
    before = training.joint.field.parameters.tables.detach().clone()
    only_tables = Rates(1e-2, 0.0, 0.0, 0.0, 0.0)
    taken(training, only_tables, algo="reptile", inner_params="all", inner_steps=0)
    assert torch.equal(training.joint.field.parameters.tables, before)
    taken(training, only_tables, algo="reptile", inner_params="all")
    assert not torch.equal(training.joint.field.parameters.tables, before)
    assert training.joint.sink.total.count_nonzero() == 0


def test_an_experts_inner_steps_do_not_depend_on_how_many_share_the_round(prepared):
    """Both experts' tasks together, and the one's alone."""
    training = prepared(algo="fomaml", optimizer="sgd")
    for _ in range(20):
        training.joint.take(Rates(0.0, 0.0, 0.0, 0.0, 0.0))
    start, before = training.joint.step, training.joint.field.parameters.trunks.detach().clone()
    cells, ways = training._find_cells(), []
    for those in (cells, [cells[0], []]):
        training.cells, training.joint.step = those, start
        taken(training, Rates(0.0, 1.0, 0.0, 0.0, 0.0), algo="reptile", inner_steps=1, rounds=1)
        trunks = training.joint.field.parameters.trunks
        ways.append((trunks - before)[0].detach())
        with torch.no_grad():
            trunks.copy_(before)
    together, alone = ways
    assert torch.nn.functional.cosine_similarity(together, alone, dim=0) > 0.8
    assert 0.8 < float(together.norm() / alone.norm()) < 1.25


@pytest.mark.parametrize(("share", "phases"), [(0.0, [1] * 6), (0.5, [0, 0, 0, 1, 1, 1]), (1.0, [0] * 6)])
def test_warmup_joint_splits_the_steps(train_job, share, phases):
    told = train_job(algo="fomaml", warmup_joint=share).progress
    assert told.losses("phase") == phases


def test_joint_is_joint_whatever_warmup_joint_says(train_job):
    assert train_job(algo="joint", warmup_joint=0.0).progress.losses("phase") == [0] * 6


def test_fomaml_and_reptile_part_ways(train_job):
    one, other = (learned(train_job(algo, algo=algo, warmup_joint=0.0).out) for algo in ("fomaml", "reptile"))
    assert one["expert_000.safetensors"] != other["expert_000.safetensors"]


def test_seconds_bound_a_run(train_job):
    done = train_job(seconds=0.5, outer_steps=1, algo="fomaml", warmup_joint=0.5)
    assert done.result.metrics["steps"] > 1
    assert done.result.metrics["seconds"] >= 0.5
    assert set(done.progress.losses("phase")) == {0, 1}
    assert done.progress.steps[-1][1] == 0.5
    assert "outer_steps has no effect in train: seconds says how long it learns" in done.progress.warnings


def test_meta_learning_alone_learns_where_there_is_something_and_how_long_steps_may_be(prepared, lively_occupancy):
    training = prepared(algo="fomaml", warmup_joint=0.0)
    joint = training.joint
    share, stretch = joint.field.grids.share, joint.sampling.stretch
    for _ in range(30):
        taken(training, FULL)
    assert joint.field.grids.share < 0.9 * share == 0.9
    assert joint.sampling.stretch != stretch
    assert joint.sampling.mean_samples < 2 * SAMPLES_A_RAY


def test_looking_around_changes_no_weight(prepared):
    joint = prepared(algo="fomaml").joint
    before = [value.detach().clone() for _, value in joint.field.parameters.named()]
    joint.look_around()
    assert not joint.sink.pending
    assert all(torch.equal(one, other) for one, (_, other) in
               zip(before, joint.field.parameters.named(), strict=True))
