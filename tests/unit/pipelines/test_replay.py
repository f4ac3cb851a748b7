"""Old rays are used again where no new photo sees. A roof over a part of the ground hides that part from above."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.ray_store import RayStore
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.pipelines import replay
from adaptive_nerf.pipelines.disagreement import first_looks
from adaptive_nerf.pipelines.replay import replay_pool, seen_by, surface_points
from tests.support.fields import FRAME, camera_over, known_field, mixture_of
from tests.unit.pipelines.looks import loaded_photo, look_of

UNIT_M = FRAME.metres_per_unit
GROUND, ROOF, EDGE = 0.1, -0.1, 0.3  # X is down; the roof lies over y > EDGE
SIZE = (36, 48)


def roofed(places: torch.Tensor) -> torch.Tensor:
    x, y = places[:, 0], places[:, 1]
    return torch.where((x >= GROUND) | (x >= ROOF) & (x < ROOF + 0.06) & (y > EDGE), 2000.0, 0.0)


@pytest.fixture(scope="module")
def field():
    return known_field(roofed)


def photo(camera: Camera, photo_id: int = 0):
    """A photo of no file: only its number is asked for."""
    told = {**dict.fromkeys(Photo.__dataclass_fields__), "photo_id": photo_id}
    return loaded_photo(camera, np.zeros((camera.height, camera.width, 3)), photo=Photo(**told))


def over(**changes) -> Camera:
    return camera_over(width=SIZE[1], height=SIZE[0], **changes)


def under_the_roof() -> Camera:
    """Stands beside the roof, at its height, and looks down to what lies below it."""
    pose = look_at(np.array([-0.02, -0.5, 0.0]), np.array([GROUND, 0.55, 0.0]), np.array([-1.0, 0, 0]))
    return replace(over(), c2w=pose, fx=60.0, fy=60.0)


def pool_of(field, old, new=None, seed=0):
    """What is replayed of a photo `old` once a photo `new` was taken, and the store of the old one."""
    store = RayStore([photo(old)])
    looks = first_looks(mixture_of(field), [photo(new)] if new else [])
    pixels = replay_pool(field, store, [0], looks, seed, UNIT_M)
    return pixels, store


def places_of(store: RayStore, pixels: torch.Tensor) -> np.ndarray:
    """Where rays meet the roof or the ground, worked out on paper. [n] -> [n, 3]"""
    rays = store.rays(pixels)
    origins, directions = rays.origins.double().numpy(), rays.directions.double().numpy()
    t = (GROUND - origins[:, :1]) / directions[:, :1]
    at_roof = origins + (ROOF - origins[:, :1]) / directions[:, :1] * directions
    hits_roof = (origins[:, 0] < ROOF) & (at_roof[:, 1] > EDGE)
    return np.where(hits_roof[:, None], at_roof, origins + t * directions)


SEEN_FROM_ABOVE = {  # of a photo from x = -1: columns from the 13th on show a roof at x = -0.5
    "ground in the open": ((0.0, -0.5, 0.0), True),
    "ground under the roof": ((0.0, 0.5, 0.0), False),
    "on the roof": ((-0.5, 0.3, 0.0), True),
    "between roof and ground": ((-0.2, 0.5, 0.0), False),
    "above the roof": ((-0.7, 0.2, 0.0), True),
    "behind the camera": ((-1.5, 0.0, 0.0), False),
    "beside the picture": ((0.0, 1.2, 0.0), False),
    "nowhere": ((np.nan, np.nan, np.nan), False)}


def roof_look(valid=None, depth=None):
    depth_m = np.full((18, 24), UNIT_M, np.float32)
    depth_m[:, 12:] = UNIT_M / 2
    blank = np.zeros((18, 24, 3))
    return look_of(blank, blank, depth_m if depth is None else depth, valid)


@pytest.mark.parametrize(("place", "seen"), SEEN_FROM_ABOVE.values(), ids=SEEN_FROM_ABOVE)
def test_a_place_is_seen_unless_something_stands_before_it(place, seen):
    assert seen_by(np.array([place]), [roof_look()], UNIT_M).tolist() == [seen]


def test_one_photo_that_sees_a_place_is_enough_and_none_see_nothing():
    place, open_sky = np.array([[0.0, 0.5, 0.0]]), np.full((18, 24), UNIT_M, np.float32)
    assert seen_by(place, [roof_look(), roof_look(depth=open_sky)], UNIT_M).all()
    assert not seen_by(place, [], UNIT_M).any()


def test_where_the_model_saw_nothing_the_photo_sees_everything():
    nothing = np.full((18, 24), np.nan, np.float32)
    assert seen_by(np.array([[0.2, 0.5, 0.0]]), [roof_look(depth=nothing)], UNIT_M).all()


def test_where_the_photo_has_no_picture_it_sees_nothing_to_the_pixel():
    look = roof_look()
    column, row = 19, 30  # of the photo, which is four times as fine as the look
    look.photo.valid[row, column] = False
    camera = look.photo.camera
    slope = (np.array([column, row])[:, None] + 0.5 + [[0, -1, 1, 0, 0], [0, 0, 0, 1, -1]] -
             [[camera.cx], [camera.cy]]) / camera.fx
    right, up = camera.c2w[:, 0], camera.c2w[:, 1]
    places = camera.c2w[:, 3] + np.array([1.0, 0, 0]) + slope[0][:, None] * right - slope[1][:, None] * up
    assert seen_by(places, [look], UNIT_M).tolist() == [False, True, True, True, True]


def test_surface_points_are_where_rays_meet_roof_or_ground(field):
    store = RayStore([photo(over())])
    pixels = store.pool([0]).long()
    found = surface_points(field, store, pixels)
    assert len(found) == SIZE[0] * SIZE[1]
    met = np.isfinite(found[:, 0])
    assert met.mean() > 0.9
    usual = np.abs(found[met] - places_of(store, pixels)[met]).max(1)
    assert np.median(usual) < 0.02
    assert (usual < 0.05).mean() > 0.97, "but for rays along an edge"


def test_rays_to_what_a_roof_hides_are_replayed_and_lead_nowhere_else(field):
    pixels, store = pool_of(field, under_the_roof(), new=over())
    places = places_of(store, pixels)
    everything = places_of(store, store.pool([0]).long())
    hidden = within(everything) & (everything[:, 1] > 0.55) & (everything[:, 0] > 0)
    assert len(pixels) > 100
    assert len(np.unique(pixels)) > 0.5 * hidden.sum()
    # The new photo looks past the edge: at the ground it sees up to y = EDGE * 1.1 / 0.9.
    met = (np.abs(places[:, 1:]) < 0.65).all(1)
    assert met.any()
    assert places[met, 1].min() > EDGE * (1 + GROUND) / (1 + ROOF) - 0.05


def within(places: np.ndarray) -> np.ndarray:
    """Whether places lie in the boxes of the experts, with a margin."""
    return (np.abs(places[:, 1:]) < 0.95).all(1)


def test_nothing_is_replayed_of_what_new_photos_see(field):
    pixels, store = pool_of(field, over(), new=over())
    assert not within(places_of(store, pixels)).any()


def test_rays_that_meet_nothing_keep_the_air_free(field):
    pixels, store = pool_of(field, over(), new=over())
    assert len(pixels)
    assert np.isnan(surface_points(field, store, pixels)).all()


def test_without_new_photos_everything_may_be_replayed(field):
    pixels, store = pool_of(field, over())
    assert len(pixels) == len(store.pool([0]))


@pytest.mark.parametrize("chunk_points", [1, 300, 5000])
def test_fewer_points_at_once_find_the_same_places(field, chunk_points):
    store = RayStore([photo(over())])
    pixels = store.pool([0]).long()
    np.testing.assert_array_equal(surface_points(field, store, pixels, chunk_points),
                                  surface_points(field, store, pixels))


def test_rays_wait_until_there_is_room_for_their_samples(field, monkeypatch):
    monkeypatch.setattr(replay, "ROOM_A_RAY", 2)
    pixels, store = pool_of(field, over(), new=over())
    assert not within(places_of(store, pixels)).any()


def test_pixels_without_a_picture_are_not_replayed_and_no_old_photos_give_none(field):
    old = photo(over())
    old.valid[:10] = False
    pixels = replay_pool(field, RayStore([old]), [0], [], 0, UNIT_M)
    assert int(pixels.min()) >= 10 * SIZE[1]
    assert not len(replay_pool(field, RayStore([old]), [], [], 0, UNIT_M))


def test_the_choice_follows_from_the_seed(field):
    first, again, other = (pool_of(field, over(), seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
