import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.common.errors import BadInput, NotGeoreferenced
from adaptive_nerf.geometry.frames import (
    DRB_FROM_ENU,
    RUB_FROM_RDF,
    FrameName,
    SceneFrame,
    c2w_from_colmap,
    colmap_from_c2w,
    local_frame,
)
from tests.unit.geometry.strategies import poses, scene_frames, vectors

FRAME = SceneFrame((-0.1, 0.4, -4.5), 227.4, (51.549, 7.373, 232.9), (-103.0, 0.6))
frame_names = st.sampled_from(list(FrameName))
points = vectors(1.5).map(np.array)


@given(scene_frames, frame_names, points)
def test_every_frame_comes_back_within_a_micrometre(frame, name, point_scene):
    there = frame.convert(FrameName.SCENE, name).points(point_scene)
    back = frame.convert(name, FrameName.SCENE).points(there)
    assert np.abs(back - point_scene).max() * frame.metres_per_unit < 1e-6


@given(scene_frames, frame_names, frame_names, points)
def test_the_way_over_a_third_frame_ends_at_the_same_place(frame, first, second, point_scene):
    straight = frame.convert(FrameName.SCENE, second).points(point_scene)
    over = frame.convert(first, second).points(frame.convert(FrameName.SCENE, first).points(point_scene))
    assert np.abs(straight - over).max() < 1e-5


def test_down_right_back_are_up_east_north_as_the_format_says():
    up, east, north = np.eye(3)[[2, 0, 1]]
    assert (DRB_FROM_ENU @ up).tolist() == [-1, 0, 0]
    assert (DRB_FROM_ENU @ east).tolist() == [0, 1, 0]
    assert (DRB_FROM_ENU @ north).tolist() == [0, 0, -1]


@pytest.mark.parametrize("rotation", [DRB_FROM_ENU, RUB_FROM_RDF])
def test_axis_changes_are_proper_rotations(rotation):
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_one_scene_unit_is_so_many_metres_along_every_axis():
    metres = FRAME.convert(FrameName.SCENE, FrameName.ENU)
    for axis in np.eye(3):
        assert np.linalg.norm(metres.points(axis) - metres.points(np.zeros(3))) == pytest.approx(227.4)
    assert FRAME.units_to_metres(FrameName.SCENE) == pytest.approx(227.4)
    assert FRAME.units_to_metres(FrameName.ECEF) == 1


def test_the_viewer_has_up_along_z_and_the_scene_origin_in_the_middle():
    viewer = FRAME.convert(FrameName.SCENE, FrameName.VIEWER)
    assert np.allclose(viewer.points(np.zeros(3)), 0)
    assert np.allclose(viewer.points(np.array([-1.0, 0, 0])), [0, 0, 50])


def test_a_colmap_pose_looks_along_plus_z_and_ours_along_minus_z():
    world_to_camera = np.c_[np.eye(3), [0.0, 0.0, 5.0]]
    c2w = c2w_from_colmap(world_to_camera)
    assert np.allclose(c2w[:, 3], [0, 0, -5])
    assert np.allclose(-c2w[:, 2], [0, 0, 1])
    assert np.allclose(c2w[:, 1], [0, -1, 0])


@given(poses)
def test_colmap_poses_survive_the_round_trip(pose):
    assert np.allclose(c2w_from_colmap(colmap_from_c2w(pose)), pose, atol=1e-9)


@given(scene_frames)
def test_a_frame_survives_json(frame):
    assert SceneFrame.from_json(json.loads(json.dumps(frame.to_json()))) == frame


@pytest.mark.parametrize("version", [2, "3", None])
def test_a_frame_of_a_newer_format_is_refused_by_its_version(version):
    with pytest.raises(BadInput, match=f"format_version {version!r}, newer than this program; expected 1 or less"):
        SceneFrame.from_json({**FRAME.to_json(), "format_version": version})


def test_a_scene_without_a_reference_works_in_metres_and_says_that_it_has_no_coordinates():
    frame = local_frame()
    assert np.allclose(frame.convert(FrameName.ENU, FrameName.SCENE).points(np.array([1.0, 2, 3])), [-3, 1, -2])
    assert "not georeferenced" in frame.describe()
    with pytest.raises(NotGeoreferenced, match="no geo-reference"):
        frame.geodetic_from(FrameName.ENU, np.zeros(3))


def test_the_reference_point_has_its_own_coordinates():
    assert np.allclose(FRAME.geodetic_from(FrameName.ENU, np.zeros(3)), FRAME.enu_reference, atol=1e-9)
