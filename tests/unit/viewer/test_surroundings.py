from dataclasses import replace

import numpy as np
import pytest

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.rendering.types import Frame, Quality
from adaptive_nerf.viewer.surroundings import depth_on_plane

POSE = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 60]])
ROWS, COLUMNS = np.mgrid[0:48, 0:64] + 0.5
PIXEL = np.array([32.5, 24.5])
GREY, NOISE_M = 0.4, 0.15
ROOF_M = 1 / (1 / 50 + 2e-4 * (COLUMNS - 32.5) / 10)  # a slope


def frame_of(depth_m, rgb=None, projection="perspective") -> Frame:
    camera = Camera(64, 48, 200, 200, 32, 24, POSE, FrameName.ENU, projection=projection)
    rgb = np.full((48, 64, 3), GREY) if rgb is None else rgb
    return Frame(camera, "v1", Quality.FULL, rgb=rgb.astype(np.float32), depth_m=depth_m.astype(np.float32))


def found_at(frame: Frame, pixel=PIXEL) -> float:
    own = float(frame.depth_m[int(pixel[1]), int(pixel[0])])
    return depth_on_plane(frame, pixel, own, own / 200)


def noisy(depth_m):
    return depth_m + np.random.default_rng(1).normal(0, NOISE_M, depth_m.shape)


@pytest.mark.parametrize("pixel", [(32.5, 24.5), (1.5, 2.5), (63.2, 47.9), (20.0, 31.0)])
def test_the_noise_of_a_slope_is_averaged_out(pixel):
    true = 1 / (1 / 50 + 2e-4 * (pixel[0] - 32.5) / 10)
    assert found_at(frame_of(noisy(ROOF_M)), np.array(pixel)) == pytest.approx(true, abs=NOISE_M / 2)


def test_a_map_is_flat_in_its_depth():
    slope = 50 + 0.8 * (COLUMNS - 32.5)
    frame = frame_of(noisy(slope), projection="orthographic")
    assert depth_on_plane(frame, PIXEL, float(frame.depth_m[24, 32]), 0.25) == pytest.approx(50, abs=NOISE_M / 3)


def test_a_picture_without_colours_has_planes_too():
    assert found_at(replace(frame_of(noisy(ROOF_M)), rgb=None)) == pytest.approx(50, abs=NOISE_M / 3)


@pytest.mark.parametrize("beside", [(0, 1), (1, 0), (-1, 0), (0, -1)])
def test_at_a_rim_each_side_keeps_its_own_plane(beside):
    """A roof seven metres over a street of the same colour."""
    street = (COLUMNS - PIXEL[0]) * beside[0] + (ROWS - PIXEL[1]) * beside[1] > 0.6
    assert found_at(frame_of(noisy(np.where(street, 57, ROOF_M)))) == pytest.approx(50, abs=NOISE_M)


def test_what_is_small_and_of_another_colour_keeps_its_depth():
    small = (np.abs(COLUMNS - PIXEL[0]) < 1.1) & (np.abs(ROWS - PIXEL[1]) < 1.1)
    rgb = np.where(small[..., None], [0.8, 0.1, 0.1], GREY)
    assert found_at(frame_of(np.where(small, ROOF_M - 0.7, ROOF_M), rgb)) == pytest.approx(49.3, abs=0.05)


def test_a_small_thing_as_grey_as_the_street_keeps_its_height():
    small = (np.abs(COLUMNS - PIXEL[0]) < 1.1) & (np.abs(ROWS - PIXEL[1]) < 1.1)
    assert found_at(frame_of(np.where(small, ROOF_M - 1.5, ROOF_M))) == pytest.approx(48.5, abs=0.05)


def test_rubble_as_grey_as_the_street_and_as_low_keeps_its_height():
    low = (np.abs(COLUMNS - PIXEL[0]) < 2.6) & (np.abs(ROWS - PIXEL[1]) < 2.6)
    assert found_at(frame_of(np.where(low, ROOF_M - 0.8, ROOF_M))) == pytest.approx(49.2, abs=0.05)


def test_a_rough_plane_that_hardly_passes_beside_is_not_the_pixels():
    """Leaves beside a wall, say: what is left of the plane after the nearest pixels is not trusted."""
    rough = ROOF_M + np.random.default_rng(7).uniform(-0.42, 0.42, ROOF_M.shape)
    beside = (np.abs(COLUMNS - PIXEL[0]) < 2.6) & (np.abs(ROWS - PIXEL[1]) < 2.6)
    depth = np.where(beside, ROOF_M - 0.9, rough)
    depth[24, 32] = 50.9
    assert found_at(frame_of(depth)) == pytest.approx(50.9, abs=1e-4)


def test_a_single_pixel_that_is_wrong_is_put_on_the_plane():
    depth = ROOF_M.copy()
    depth[24, 32] -= 1.5
    assert found_at(frame_of(depth)) == pytest.approx(50, abs=0.05)


def test_where_all_around_is_nothing_the_pixels_own_depth_counts():
    depth = np.full((48, 64), np.nan)
    depth[24, 32] = 50
    assert found_at(frame_of(depth)) == 50
