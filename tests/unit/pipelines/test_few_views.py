"""Ground on [-1, 1]^2; ten photos see what is west (y < 0), a single one the rest of it. X is down."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.ray_store import RayStore
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.models.model import Model
from adaptive_nerf.models.occupancy import START, WORD
from adaptive_nerf.pipelines import few_views
from adaptive_nerf.pipelines.few_views import HOUSE_M, SLACK_M, STOREY_M, Layer, Sight, begin_anew, layer_of
from adaptive_nerf.pipelines.joint import Sampling
from adaptive_nerf.pipelines.training_state import joint_of
from tests.support.fields import CELL, FRAME, STEP, camera_over, known_field, random_field
from tests.unit.models.test_field import rays_down
from tests.unit.pipelines.looks import loaded_photo

UNIT_M = FRAME.metres_per_unit
GROUND, SPECK = 0.1, -0.15
REACH_M = 100.0
MANY_THERE, FEW_THERE = [[-0.5, 0.0]], [[0.6, 0.0]]
BOUNDS = np.array([[-0.25, -1, -1], [0.25, 1, 1]])


def photo_over(east: float, photo_id: int = 0):
    """Of [east - 0.5, east + 0.5] on the ground, and of all from south to north."""
    camera = camera_over(east=east, width=48, height=96, fx=48 * 1.1, fy=48 * 1.1)
    told = {**dict.fromkeys(Photo.__dataclass_fields__), "photo_id": photo_id}
    return loaded_photo(camera, np.zeros((96, 48, 3)), photo=Photo(**told))


PHOTOS = [photo_over(-0.5, number) for number in range(10)] + [photo_over(0.5, 10)]


def places_on(height) -> np.ndarray:
    """A net of places, `height(y)` each. [n, 3]"""
    y, z = (side.ravel() for side in np.meshgrid(np.linspace(-1, 1, 200), np.linspace(-1, 1, 200)))
    return np.stack([height(y), y, z], -1)


def layer_over(height) -> Layer:
    found = layer_of(places_on(height), Sight(PHOTOS, REACH_M), BOUNDS, UNIT_M)
    assert found is not None
    return found


def at(layer: Layer, y: float, z: float = 0.0) -> tuple[float, float]:
    """Top and bottom of the layer at a place of the ground."""
    place = layer.block(1, np.array([y]))[0], layer.block(2, np.array([z]))[0]
    return float(layer.top[place]), float(layer.bottom[place])


def test_photos_that_a_place_lies_in_are_counted_pixel_by_pixel():
    places = np.random.default_rng(0).uniform(-1, 1, (300, 3)) * [0.25, 1, 1]
    for place, count in zip(places, Sight(PHOTOS, REACH_M).views(places), strict=True):
        reach = 0.5 * (1 + place[0]) / 1.1
        west, east = (abs(place[1] - middle) < reach and abs(place[2]) < 2 * reach for middle in (-0.5, 0.5))
        assert count == 10 * west + east


def test_what_few_photos_see_is_as_high_as_the_nearest_that_many_see():
    layer = layer_over(lambda y: np.where(y < 0, GROUND, SPECK))
    top, bottom = at(layer, 0.2)
    assert top < GROUND - STOREY_M / UNIT_M < GROUND < bottom
    assert top > SPECK
    far_top, far_bottom = at(layer, 0.9)
    assert far_top < top  # the farther, the less is known
    assert far_bottom > bottom


def test_beside_a_house_at_the_rim_there_may_be_ground():
    house = 0.8 * HOUSE_M / UNIT_M
    layer = layer_over(lambda y: np.where((y > -0.1 - house) & (y < 0), GROUND - 0.15, GROUND))
    assert at(layer, 0.2)[1] > GROUND


def test_a_house_amid_the_flight_does_not_lift_the_ground_around_it():
    house = 0.8 * HOUSE_M / UNIT_M
    layer = layer_over(lambda y: np.where(np.abs(y + 0.5) < house / 2, GROUND - 0.15, GROUND))
    assert at(layer, -0.5 + house)[0] > GROUND - 0.15
    assert at(layer, -0.5)[0] < GROUND - 0.15


def test_a_slope_is_ground_all_along():
    def slope(y):
        return 0.2 * y
    layer = layer_over(slope)
    for y in np.linspace(-0.9, 0.9, 19):  # known to the west, inferred in the east
        top, bottom = at(layer, y)
        assert top < slope(y) < bottom


def test_a_few_places_in_the_wrong_do_not_lift_the_ground():
    places = places_on(lambda y: np.full_like(y, GROUND))
    places[::15, 0] = 0.24
    layer = layer_of(places, Sight(PHOTOS, REACH_M), BOUNDS, UNIT_M)
    assert at(layer, -0.5)[1] < GROUND + 2 * SLACK_M / UNIT_M


def test_where_nothing_is_seen_by_many_nothing_is_known():
    assert layer_of(places_on(lambda y: 0 * y), Sight(PHOTOS[:8], REACH_M), BOUNDS, UNIT_M) is None
    assert layer_of(np.zeros((0, 3)), Sight(PHOTOS, REACH_M), BOUNDS, UNIT_M) is None


@pytest.fixture
def joint():
    """A model that shows the ground, and a speck in the air east of it."""
    field = known_field(lambda places: torch.where(
        (places[:, 0] >= GROUND) | (places[:, 1] > 0.3) & (places[:, 0] > SPECK) & (places[:, 0] < SPECK + 0.05),
        2000.0, 0.0))
    store = RayStore(PHOTOS)
    random = random_field()
    sampling = Sampling(STEP, 1.0, 1.0, 4096).to_json()
    model = Model(random, Appearance.of(random.architecture, ()), FRAME, "tiny", training={"sampling": sampling})
    found = joint_of(model, store, store.pool(range(len(store))), "adam", seed=0)
    found.field = replace(field, grids=found.field.grids)
    found.full_from = 1.0
    return found


def occupied(joint, places, depth: float) -> bool:
    """Whether rays down pass a sample within a cell's length of a depth."""
    samples = joint.field.march(rays_down(places), 4000)
    return bool(((samples.t - 1 - depth).abs() < CELL).any())


def test_a_speck_before_the_camera_of_one_photo_is_gone_and_the_ground_begins_anew(joint):
    joint.field.grids.occupancy.words.fill_(-1)
    few_views.leave_to_the_ground(joint, UNIT_M, 1 << 18)
    assert not occupied(joint, FEW_THERE, SPECK)
    assert occupied(joint, FEW_THERE, GROUND)


def test_what_many_photos_see_is_left_alone(joint):
    before = joint.field.grids.maxima.clone()
    few_views.leave_to_the_ground(joint, UNIT_M, 1 << 18)
    assert occupied(joint, MANY_THERE, SPECK)
    assert 0.1 < float((joint.field.grids.maxima == before).float().mean()) < 0.9


def test_the_top_of_a_tower_is_left_alone_where_many_see_its_foot():
    """Half of its height, and the ground around it."""
    foot, width, height = -0.7, 8 / UNIT_M, 12 / UNIT_M
    layer = layer_over(lambda y: np.where(np.abs(y - foot) < width, GROUND - height / 2, GROUND))
    assert at(layer, foot)[0] < GROUND - height
    assert at(layer, -0.3)[0] > GROUND - height / 2


def test_what_was_closed_stays_closed_whatever_is_seen_there(joint):
    few_views.leave_to_the_ground(joint, UNIT_M, 1 << 18)
    joint.field.grids.maxima.fill_(255)
    joint.step = 63
    joint._rebuild()
    assert not occupied(joint, FEW_THERE, SPECK)
    assert occupied(joint, MANY_THERE, SPECK)


def test_cells_begin_as_at_the_start_where_a_height_was_only_inferred(joint):
    grids, layer = joint.field.grids, layer_over(lambda y: np.full_like(y, GROUND))
    grids.maxima.zero_()
    may = begin_anew(grids, layer)
    words = grids.maxima.view(-1, WORD)
    assert set(words.unique().tolist()) == {0, round(START * 255)}
    assert not words[may == 0].any()
    assert not grids.occupancy.words[may == 0].any()


def test_a_training_that_goes_on_keeps_what_is_there_and_lets_nothing_more_grow(joint):
    few_views.leave_to_the_ground(joint, UNIT_M, 1 << 18)
    joint.may, there = None, joint.field.grids.occupancy.words.clone()
    few_views.leave_to_the_ground(joint, UNIT_M, 1 << 18, goes_on=True)
    assert torch.equal(joint.field.grids.occupancy.words, there)
    joint.field.grids.maxima.fill_(255)
    joint.step = 63
    joint._rebuild()
    assert not occupied(joint, FEW_THERE, SPECK)
    assert occupied(joint, FEW_THERE, GROUND)
    assert occupied(joint, MANY_THERE, SPECK)


def test_what_a_model_shows_stays_where_a_training_goes_on(joint):
    joint.field.grids.occupancy.words.fill_(-1)
    few_views.leave_to_the_ground(joint, UNIT_M, 1 << 18, goes_on=True)
    assert (joint.may == -1).all()


def test_where_too_little_is_known_everything_stays_as_it_is(joint):
    joint.store = RayStore(PHOTOS[-2:])
    joint.pool = joint.store.pool(range(2))
    few_views.leave_to_the_ground(joint, UNIT_M, 1 << 18)
    assert (joint.may == -1).all()
    assert joint.field.grids.share == 1


def test_far_above_all_that_stands_nothing_may_be_however_many_look(joint):
    """Twice as high as the tallest; and the sky rises with a slope."""
    height = 15 / UNIT_M
    layer = layer_over(lambda y: np.where(np.abs(y + 0.7) < 8 / UNIT_M, GROUND - height, GROUND))
    sky = layer.sky[layer.block(1, np.array([-0.3]))[0], 0]
    assert GROUND - 2.5 * height < sky < GROUND - 1.9 * height
    slope = layer_over(lambda y: 0.2 * y)
    known = [slope.block(1, np.array([y]))[0] for y in (-0.8, -0.2)]
    assert slope.sky[known[1], 0] - slope.sky[known[0], 0] == pytest.approx(0.2 * 0.6, abs=0.06)  # columns are wide
    layer = replace(layer, sky=np.full_like(layer.sky, 0.0))
    may = begin_anew(joint.field.grids, layer)
    joint.field.grids.maxima.fill_(255)
    joint.field.grids.rebuild(1.0, may=may)
    assert not occupied(joint, MANY_THERE, SPECK)
    assert occupied(joint, MANY_THERE, GROUND)
