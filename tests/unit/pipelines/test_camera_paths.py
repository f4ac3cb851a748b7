import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_nerf.geometry.cameras import look_at
from adaptive_nerf.pipelines.camera_paths import (
    PRESETS,
    Flown,
    frames_to_cover,
    heading_and_pitch,
    preset_path,
    upright_pose,
)

TOWN = Flown(west=-70, east=90, south=-50, north=60, ground_up_m=4.0, flight_up_m=64.0)
SIZE = (96, 54)
NAMES = sorted(PRESETS)


def positions(cameras):
    return np.stack([camera.c2w[:, 3] for camera in cameras])


def forwards(cameras):
    return np.stack([-camera.c2w[:, 2] for camera in cameras])


@pytest.mark.parametrize("name", NAMES)
def test_every_path_has_a_camera_for_each_frame_inside_the_flown_bounds(name):
    cameras = preset_path(name, TOWN, 50, SIZE)
    assert [(camera.width, camera.height) for camera in cameras] == [SIZE] * 50
    places = positions(cameras)
    assert (places[:, :2] >= np.array([-70, -50]) - 1e-9).all()
    assert (places[:, :2] <= np.array([90, 60]) + 1e-9).all()
    np.testing.assert_allclose(places[:, 2], 64)


@pytest.mark.parametrize("name", NAMES)
def test_every_path_is_level_and_looks_down(name):
    for camera in preset_path(name, TOWN, 50, SIZE):
        right, up, back = camera.c2w[:, :3].T
        np.testing.assert_allclose(np.stack([right, up, back]) @ np.stack([right, up, back]).T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(np.cross(right, up), back, atol=1e-12)
        assert right[2] == pytest.approx(0)
        assert up[2] >= -1e-9
        assert back[2] > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_the_middle_of_every_picture_is_ground_that_was_flown_over(name):
    cameras = preset_path(name, TOWN, 50, SIZE)
    ways_down = 60 / -forwards(cameras)[:, 2:]
    seen = positions(cameras) + forwards(cameras) * ways_down
    np.testing.assert_allclose(seen[:, 2], 4, atol=1e-9)
    assert (seen[:, :2] >= np.array([-70, -50]) - 1e-9).all()
    assert (seen[:, :2] <= np.array([90, 60]) + 1e-9).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_path_is_smooth_and_smoother_with_more_frames(name):
    def largest_steps(frames):
        cameras = preset_path(name, TOWN, frames, SIZE)
        turns = [np.linalg.norm(after.c2w[:, :3] - before.c2w[:, :3])
                 for before, after in itertools.pairwise(cameras)]
        return np.array([np.linalg.norm(np.diff(positions(cameras), axis=0), axis=1).max(), max(turns)])
    assert (largest_steps(400) <= largest_steps(100) * 0.3 + 1e-9).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_frame_is_a_path_too(name):
    assert len(preset_path(name, TOWN, 1, SIZE)) == 1


def test_the_turntable_looks_at_the_middle_and_joins_its_beginning():
    cameras = preset_path("turntable", TOWN, 40, SIZE)
    for camera in cameras:
        pixel, _ = camera.project(np.array([[10.0, 5.0, 4.0]]))
        np.testing.assert_allclose(pixel, [[48, 27]], atol=1e-6)
    steps = np.linalg.norm(np.diff(positions([*cameras, cameras[0]]), axis=0), axis=1)
    assert steps[-1] == pytest.approx(steps[0], rel=0.05)


def test_the_spiral_ends_above_the_middle_looking_straight_down():
    cameras = preset_path("spiral_in", TOWN, 40, SIZE)
    np.testing.assert_allclose(positions(cameras)[0], [10, -50, 64], atol=1e-9)
    np.testing.assert_allclose(positions(cameras)[-1], [10, 5, 64], atol=1e-9)
    np.testing.assert_allclose(forwards(cameras)[-1], [0, 0, -1], atol=1e-9)


@pytest.mark.parametrize(("name", "begin", "end"), [("north_south", [10, 60, 64], [10, -50, 64]),
                                                    ("east_west", [90, 5, 64], [-70, 5, 64])])
def test_straight_flights_go_from_edge_to_edge_looking_ahead_at_first(name, begin, end):
    cameras = preset_path(name, TOWN, 30, SIZE)
    np.testing.assert_allclose(positions(cameras)[[0, -1]], [begin, end], atol=1e-9)
    ahead = np.array(end) - np.array(begin)
    looks_ahead = forwards(cameras) @ ahead / np.linalg.norm(ahead)
    assert looks_ahead[0] == pytest.approx(np.sqrt(0.5))
    assert (np.diff(looks_ahead) < 0).all()
    np.testing.assert_allclose(forwards(cameras)[-1], [0, 0, -1], atol=1e-9)


@settings(max_examples=30)
@given(st.floats(0, 300), st.floats(0, 300), st.floats(30, 120), st.sampled_from([(96, 54), (54, 96), (64, 64)]))
def test_full_coverage_shows_all_of_the_ground(east_m, north_m, height_m, size):
    flown = Flown(-east_m / 2, east_m / 2, 0, north_m, 2.0, 2.0 + height_m)
    east, north = np.meshgrid(np.linspace(-east_m / 2, east_m / 2, 25), np.linspace(0, north_m, 25))
    ground = np.stack([east.ravel(), north.ravel(), np.full(east.size, 2.0)], -1)
    seen = np.zeros(len(ground), bool)
    for camera in preset_path("full_coverage", flown, frames_to_cover(flown, size), size):
        pixels, _ = camera.project(ground)
        seen |= ((pixels >= 0) & (pixels <= size)).all(1)
    assert seen.all()


def test_full_coverage_flies_at_an_even_speed():
    steps = np.linalg.norm(np.diff(positions(preset_path("full_coverage", TOWN, 300, SIZE)), axis=0), axis=1)
    assert steps.max() < steps.min() * 1.1


@pytest.mark.parametrize("name", NAMES)
def test_photos_from_one_place_still_give_a_path(name):
    flown = Flown.by(np.array([[3.0, 4.0, 50.0]]), ground_up_m=49.5)
    assert np.isfinite(positions(preset_path(name, flown, 20, SIZE))).all()


def test_bounds_and_height_come_from_the_photos():
    flown = Flown.by(np.array([[0.0, 5, 60], [-10, 20, 62], [30, -5, 100]]), 1.0)
    assert flown == Flown(-10, 30, -5, 20, 1.0, 62.0)


@given(st.floats(-180, 180), st.floats(-80, 80))
def test_heading_and_pitch_say_the_pose_that_looks_there(heading, pitch):
    pose = upright_pose(np.zeros(3), heading, pitch)
    np.testing.assert_allclose(pose, look_at(np.zeros(3), -pose[:, 2], np.array([0.0, 0, 1])), atol=1e-9)
    told = heading_and_pitch(-pose[:, 2])
    np.testing.assert_allclose(upright_pose(np.zeros(3), *told), pose, atol=1e-9)
