import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.rendering.types import Frame, Quality
from adaptive_nerf.viewer.picking import pick

SCENE = SceneFrame((-60.0, 12.0, -7.0), 80.0, None, (0.0, 62.0))


def ground_frame(camera: Camera, height_m: float = 0.0) -> Frame:
    """What a camera sees of a level ground."""
    enu = camera.in_frame(FrameName.ENU, SCENE)
    rays = camera_rays(enu)
    with np.errstate(divide="ignore"):
        distance = (height_m - rays.origins[:, 2]) / rays.directions[:, 2]
    depth = np.where(distance > 0, distance * rays.forward, np.nan)
    return Frame(camera, "v1", Quality.FULL, depth_m=depth.reshape(camera.height, camera.width).astype(np.float32))


@given(u=st.floats(0.02, 0.98), v=st.floats(0.02, 0.98))
def test_any_place_on_the_ground_is_found_to_a_millimetre(u, v):
    pose = look_at(np.array([10.0, -40, 45]), np.array([0.0, 0, 0]), np.array([0.0, 0, 1]))
    camera = Camera(64, 48, 50, 50, 32, 24, pose, FrameName.ENU).in_frame(FrameName.VIEWER, SCENE)
    picked = pick(ground_frame(camera, 2.0), u, v, SCENE)
    enu = camera.in_frame(FrameName.ENU, SCENE)
    pixel, depth = enu.project(picked.enu_m[None])
    assert picked.enu_m[2] == pytest.approx(2.0, abs=2e-3)
    assert pixel[0] == pytest.approx([u * 64, v * 48], abs=1e-3)
    assert depth[0] == pytest.approx(picked.distance_m)
    assert picked.grain_m == pytest.approx(picked.distance_m / 50)


def test_where_nothing_is_nothing_is_found(camera_above):
    camera = camera_above(SCENE, (0, -40, 2), (0, 40, 2))
    frame = ground_frame(camera)
    assert pick(frame, 0.5, 0.1, SCENE) is None
    assert pick(frame, 0.5, 0.9, SCENE) is not None


def test_at_an_edge_the_pixels_own_depth_counts_never_a_blend(camera_above):
    camera = camera_above(SCENE, (0, 0, 50), (0, 0.001, 0))
    depth = np.full((48, 64), 50, np.float32)
    depth[:, 32:] = 30
    frame = Frame(camera, "v1", Quality.FULL, depth_m=depth)
    assert pick(frame, 0.499, 0.5, SCENE).distance_m == pytest.approx(50)
    assert pick(frame, 0.501, 0.5, SCENE).distance_m == pytest.approx(30)


def test_the_frame_without_depth_has_no_places(frame_of):
    assert pick(frame_of(4, 6), 0.5, 0.5, SCENE) is None


def test_an_orthographic_map_is_read_too():
    pose = np.array([[1.0, 0, 0, 5], [0, 1, 0, -3], [0, 0, 1, 90]])
    camera = Camera(40, 40, 2, 2, 20, 20, pose, FrameName.ENU, projection="orthographic")
    frame = Frame(camera, "v1", Quality.FULL, depth_m=np.full((40, 40), 80, np.float32))
    assert pick(frame, 0.75, 0.25, SCENE).enu_m == pytest.approx([10, 2, 10])
