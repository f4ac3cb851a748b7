import numpy as np
import pytest

from adaptive_nerf.synth.events import EVENTS
from adaptive_nerf.synth.land_use import Use
from adaptive_nerf.synth.layout import Layout, make_layout
from adaptive_nerf.synth.terrain import Bend
from adaptive_nerf.synth.world import build_world, thing_mesh

SIZE_M = (120.0, 100.0)


@pytest.fixture(scope="module")
def town() -> Layout:
    return make_layout(5, SIZE_M)


def test_the_same_seed_gives_the_same_mesh():
    first, again = (build_world(make_layout(2, (50.0, 50.0))).mesh for _ in range(2))
    np.testing.assert_array_equal(first.corners, again.corners)
    np.testing.assert_array_equal(first.tint, again.tint)


def test_another_seed_gives_another_town(town):
    assert set(make_layout(6, SIZE_M).houses).isdisjoint(town.houses)


def test_a_town_has_what_a_town_has(town):
    assert len(town.houses) > 20
    assert len(town.trees) > 60
    assert len(town.cars) > 10
    share = np.bincount(town.land_use.raster.ravel(), minlength=len(Use)) / town.land_use.raster.size
    assert 0.08 < share[Use.ROAD] < 0.35
    assert share[Use.BUILDING] > 0.1


def test_houses_keep_off_the_streets_and_out_of_each_other(town):
    places = np.array([(house.x, house.y) for house in town.houses])
    plan = town.bend.to_plan(places)
    assert not np.isin(town.land_use.at(plan[:, 0], plan[:, 1]), [Use.ROAD, Use.PAVEMENT]).any()
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + 100 * np.eye(len(places))
    assert apart.min() > 1.5


def test_trees_stand_on_the_ground(town):
    heights = town.terrain.height([tree.x for tree in town.trees], [tree.y for tree in town.trees])
    np.testing.assert_allclose(heights, [tree.ground_m for tree in town.trees], atol=1e-9)


def test_the_bend_of_the_streets_can_be_undone():
    bend, plan = Bend(9), np.random.default_rng(0).uniform(-200, 200, (500, 2))
    np.testing.assert_allclose(bend.to_plan(bend.to_world(plan)), plan, atol=0.01)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_changes_something_and_leaves_the_most(town, event):
    after = EVENTS[event](town)
    assert after != town
    kept = len(set(after.things) & set(town.things))
    assert kept > 0.6 * len(town.things)
    assert EVENTS[event](town) == after


def test_a_fallen_house_is_lower_than_it_was(town):
    after = EVENTS["collapse"](town)
    pairs = [(old, new) for old, new in zip(town.houses, after.houses, strict=True) if old != new]
    assert pairs
    for old, new in pairs:
        assert thing_mesh(new).bounds()[1][2] < thing_mesh(old).bounds()[1][2]
