import numpy as np
import pytest

from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.viewer.overview import looked_at, overview_of
from adaptive_nerf.viewer.photo_panel import photo_words, small_picture
from tests.unit.data.scene_factory import FRAME, write_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return open_scene(write_scene(tmp_path_factory.mktemp("scene") / "prepared"))


def test_the_overview_spans_ground_and_cameras(scene):
    overview = overview_of(scene)
    to_viewer = FRAME.convert(FrameName.ENU, FrameName.VIEWER)
    assert overview.low[2] == pytest.approx(to_viewer.points(np.array([0, 0, -10.0]))[2])
    assert overview.high[2] == pytest.approx(to_viewer.points(np.array([0, 0, 50.0]))[2])
    assert overview.flown_units * FRAME.units_to_metres(FrameName.VIEWER) == pytest.approx(60)
    assert overview.low[2] < overview.corner[2] < overview.high[2]


def test_photos_look_at_places_on_the_ground_and_flat_ones_at_what_is_below_them():
    positions = np.array([[0.0, 0, 10], [5, 5, 10], [7, 7, 10]])
    ahead = np.array([[1.0, 0, -1], [0, 0, -1], [1, 0, -0.1]])
    assert looked_at(positions, ahead, 0.0).tolist() == [[10, 0], [5, 5], [7, 7]]


def test_from_above_one_looks_down_at_the_same_place_with_north_at_the_top(scene):
    above = overview_of(scene).from_above()
    assert above.dip_deg() == pytest.approx(90, abs=0.2)
    assert above.heading_deg() == pytest.approx(0, abs=1e-6)
    assert (above.look_at == overview_of(scene).start.look_at).all()


def test_a_photo_is_told_with_what_it_is_for_and_its_name_is_harmless(scene):
    words = photo_words(scene.photos[1])
    assert "used to learn" in words
    assert "DJI\\, 1\\.JPG" in words


def test_a_photo_is_made_small_enough_for_the_page():
    assert small_picture(np.zeros((3000, 4000, 3), np.uint8)).shape == (360, 480, 3)
