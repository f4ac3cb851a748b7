import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName, colmap_from_c2w
from adaptive_nerf.geometry.rays import camera_rays, pixel_centres
from tests.unit.geometry.strategies import cameras, poses, scene_frames

distances_m = st.floats(0.5, 500)


@given(cameras, distances_m)
def test_a_point_on_a_pixels_ray_projects_back_into_that_pixel(camera, distance_m):
    pixels = pixel_centres(camera.width, camera.height)[:: 7]
    rays = camera_rays(camera, pixels)
    projected, depth_m = camera.project(rays.at(np.full(len(rays), distance_m)))
    assert np.abs(projected - pixels).max() < 1e-6
    assert np.allclose(depth_m, distance_m * rays.forward)


@given(cameras, scene_frames, st.sampled_from(list(FrameName)))
def test_a_camera_sees_the_same_from_every_frame(camera, scene_frame, target):
    points_enu_m = camera_rays(camera).at(np.full(camera.width * camera.height, 50.0))[::97]
    moved = camera.in_frame(target, scene_frame)
    pixels, depth_m = camera.project(points_enu_m)
    pixels_moved, depth_moved_m = moved.project(scene_frame.convert(FrameName.ENU, target).points(points_enu_m))
    assert np.abs(pixels - pixels_moved).max() < 1e-3
    assert np.abs(depth_m - depth_moved_m).max() < 1e-5


@given(poses)
def test_projection_agrees_with_pycolmap(pose):
    camera = Camera(64, 48, 55.0, 57.0, 30.0, 25.0, pose, FrameName.ENU)
    oracle = pycolmap.Camera(model="PINHOLE", width=64, height=48, params=[55, 57, 30, 25])
    points = camera_rays(camera).at(np.linspace(1, 90, 64 * 48))[::31]
    world_to_camera = colmap_from_c2w(pose)
    in_camera = points @ world_to_camera[:, :3].T + world_to_camera[:, 3]
    assert np.abs(camera.project(points)[0] - oracle.img_from_cam(in_camera)).max() < 1e-6


@given(cameras, st.floats(0.1, 3))
def test_a_resized_camera_sees_the_same_at_the_same_share_of_the_picture(camera, factor):
    small = camera.scaled(factor)
    points = camera_rays(camera).at(np.full(camera.width * camera.height, 20.0))[::53]
    share = camera.project(points)[0] / [camera.width, camera.height]
    share_small = small.project(points)[0] / [small.width, small.height]
    assert np.abs(share - share_small).max() < 1e-9


def test_points_behind_a_perspective_camera_have_no_pixel():
    camera = Camera(8, 8, 10, 10, 4, 4, look_at(np.zeros(3), np.array([0, 1.0, 0]), np.array([0, 0, 1.0])),
                    FrameName.ENU)
    pixels, depth_m = camera.project(np.array([[0.0, -5, 0], [0, 5, 0]]))
    assert np.isnan(pixels[0]).all()
    assert pixels[1].tolist() == [4, 4]
    assert depth_m.tolist() == [-5, 5]


@pytest.mark.parametrize("target", [(3.0, 4.0, -2.0), (0.0, 0.0, -9.0), (0.0, 0.0, 7.0)])
def test_look_at_puts_its_target_in_the_middle_even_straight_below(target):
    pose = look_at(np.zeros(3), np.array(target), np.array([0, 0, 1.0]))
    camera = Camera(10, 10, 20, 20, 5, 5, pose, FrameName.ENU)
    assert np.allclose(camera.project(np.array([target]))[0], [[5, 5]])
    assert np.linalg.det(pose[:, :3]) == pytest.approx(1)


def test_an_orthographic_camera_counts_in_metres_whatever_its_frame():
    pose = look_at(np.array([0, 0, 1.0]), np.zeros(3), np.array([0, 1.0, 0]))
    camera = Camera(10, 10, 2.0, 2.0, 5, 5, pose, FrameName.SCENE, metres_per_unit=100.0, projection="orthographic")
    rays = camera_rays(camera, np.array([[7.0, 5.0]]))
    assert np.allclose(rays.origins, [[0.01, 0, 1]])  # one metre to the right
    assert np.allclose(rays.directions, [[0, 0, -1]])
