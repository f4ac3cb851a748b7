import math
from urllib.parse import parse_qs

import numpy as np
import pytest
import viser.transforms as vt
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.geometry.cameras import look_at
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.viewer.viewpoints import (
    START_FARTHEST_UNITS,
    View,
    between,
    browser_wxyz,
    camera_of,
    link_query,
    picture_size,
    start_view,
    view_of_link,
)


def test_the_browsers_camera_becomes_ours_and_back(georeferenced):
    pose = look_at(np.array([10.0, -30, 40]), np.array([3.0, 2, 0]), np.array([0, 0, 1.0]))
    wxyz = browser_wxyz(pose)
    camera = camera_of(wxyz, pose[:, 3], math.radians(60), (640, 480), georeferenced)
    assert camera.c2w == pytest.approx(pose)
    pixel, _ = camera.project(np.array([[3.0, 2, 0]]))
    assert pixel[0] == pytest.approx([320, 240])
    assert vt.SO3(wxyz).as_matrix()[:, 2] == pytest.approx(-pose[:, 2])  # viser looks along +z


def test_the_field_of_view_is_vertical(georeferenced):
    camera = camera_of(np.array([1.0, 0, 0, 0]), np.zeros(3), math.radians(90), (200, 100), georeferenced)
    assert camera.fx == camera.fy == pytest.approx(50)
    assert camera.frame is FrameName.VIEWER
    assert camera.metres_per_unit == pytest.approx(80 / 50)


@given(aspect=st.floats(0.01, 100), pixels=st.integers(1000, 4_000_000))
def test_pictures_have_about_the_pixels_asked_for(aspect, pixels):
    width, height = picture_size(aspect, pixels)
    assert width % 2 == height % 2 == 0
    assert width * height == pytest.approx(pixels, rel=0.2)


@given(east=st.floats(1, 150), north=st.floats(1, 150))
def test_the_first_view_has_everything_in_the_window_left_of_the_panel(east, north):
    """In a window of 16:10 and in all wider ones."""
    places = np.array([[-east, -north], [east, -north], [-east, north], [east, north]]) / 2
    view = start_view(places, ground_up=-20.0)
    pose = look_at(view.position, view.look_at, np.array([0.0, 0, 1]))
    ground = np.concatenate([places, np.full((4, 1), -20.0)], axis=1)
    local = (ground - pose[:, 3]) @ pose[:, :3]
    right, up = (local[:, :2] / -local[:, 2:] / math.tan(view.fov_rad / 2)).T  # 1: half the window's height
    assert np.linalg.norm(view.position - view.look_at) <= START_FARTHEST_UNITS + 1e-9
    assert right.mean() < 0
    if 2 < math.hypot(east, north) < 90:
        assert np.abs(up).max() <= 1
        assert right.min() >= -1.6


def test_headings_and_dips_are_those_of_a_map():
    view = View(np.zeros(3), np.array([1.0, 0, -1]), 1.0)
    assert (view.heading_deg(), view.dip_deg()) == (pytest.approx(90), pytest.approx(45))


def test_a_flight_begins_and_ends_where_it_should():
    first, last = View(np.zeros(3), np.ones(3), 1.0), View(np.full(3, 9.0), np.zeros(3), 0.5)
    assert between(first, last, 0).position == pytest.approx(first.position)
    assert between(first, last, 1).look_at == pytest.approx(last.look_at)
    assert between(first, last, 0.5).fov_rad == pytest.approx(0.75)


def test_a_link_holds_the_view_as_the_browser_reads_it():
    query = parse_qs(link_query(View(np.array([1.5, -2, 3]), np.zeros(3), 0.9)))
    assert query["initialCameraPosition"] == ["1.500,-2.000,3.000"]
    assert query["initialCameraFov"] == ["0.9000"]


@given(st.lists(st.floats(-500, 500), min_size=6, max_size=6))
def test_a_pasted_link_leads_to_its_view(numbers):
    view = View(np.array(numbers[:3]), np.array(numbers[3:]) + np.array([0, 0, 1000]), 0.9)
    for text in (f"http://10.0.0.7:7070/?{link_query(view)}", "?" + link_query(view), f" {link_query(view)}\n"):
        back = view_of_link(text)
        assert back.position == pytest.approx(view.position, abs=1e-3)
        assert back.look_at == pytest.approx(view.look_at, abs=1e-3)


@pytest.mark.parametrize("text", ["", "hello", "?initialCameraPosition=1,2", "http://[", "http://x/?initialCameraFov=1",
                                  "?initialCameraPosition=nan,0,0&initialCameraLookAt=0,0,0",
                                  "?initialCameraPosition=1,2,3&initialCameraLookAt=1,2,3",
                                  "?initialCameraPosition=1,2&initialCameraLookAt=1,2",
                                  "?initialCameraPosition=1e99,2,3&initialCameraLookAt=1,2,3"])
def test_a_text_that_is_no_link_leads_nowhere(text):
    assert view_of_link(text) is None
