import numpy as np
import pytest

from adaptive_nerf.synth.exposures import draw_exposure
from adaptive_nerf.synth.flights import Flight, fly

SIZE_M = (160.0, 120.0)


@pytest.mark.parametrize("pattern", ["grid", "orbit", "mixed"])
@pytest.mark.parametrize("photos", [2, 7, 48])
def test_a_flight_has_as_many_photos_as_asked_for(pattern, photos):
    cameras = fly(Flight(pattern, photos, (384, 288), 60.0), SIZE_M, 0, "town")
    assert len(cameras) == photos
    assert all(abs(camera.c2w[2, 3] - 60) < 4 for camera in cameras)


def test_a_grid_looks_down_and_an_orbit_looks_in():
    grid, orbit = (fly(Flight(pattern, 20, (384, 288), 60.0), SIZE_M, 0, "town") for pattern in ("grid", "orbit"))
    assert all(camera.c2w[2, 2] > 0.95 for camera in grid)
    for camera in orbit:
        position, forward = camera.c2w[:, 3], -camera.c2w[:, 2]
        assert 0.3 < -forward[2] < 0.85
        assert forward[:2] @ position[:2] < 0


def test_every_place_of_the_town_is_seen_by_several_photos():
    cameras = fly(Flight("mixed", 48, (384, 288), 60.0), SIZE_M, 0, "town")
    x, y = np.meshgrid(np.linspace(-75, 75, 16), np.linspace(-55, 55, 12))
    places = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], -1)
    seen = np.zeros(len(places), int)
    for camera in cameras:
        pixels, depth = camera.project(places)
        seen += (depth > 0) & np.all((pixels > 0) & (pixels < [384, 288]), axis=-1)
    assert seen.min() >= 4


def test_no_jitter_is_no_change_of_exposure():
    assert draw_exposure(1, "town", 5, 0.0).gain == 1.0
    gains = [draw_exposure(1, "town", number, 0.2).gain for number in range(200)]
    assert 0.15 < np.std(np.log2(gains)) < 0.25
