"""pycolmap is the oracle: where it puts a ray in the lens's photo, and where it says that the pinhole sees it."""

import io

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.data.colmap import ColmapCamera
from adaptive_nerf.data.undistort import picture_bytes, pinhole_of, undistort
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.rays import camera_rays
from tests.unit.data.colmap_factory import LENSES, photograph, plain_colour

POSE = look_at(np.array([3.0, 2.0, 50.0]), np.array([6.0, 4.0, 0.0]), np.array([0.0, 1.0, 0.0]))
FOLDING = ColmapCamera(1, "SIMPLE_RADIAL", 64, 48, (50.0, 32.0, 24.0, -0.9))


def lens_camera(lens: str) -> ColmapCamera:
    return ColmapCamera(1, lens, 64, 48, tuple(map(float, LENSES[lens])))


def our_camera(lens: ColmapCamera) -> Camera:
    pinhole = pinhole_of(lens)
    return Camera(pinhole.width, pinhole.height, pinhole.fx, pinhole.fy, pinhole.cx, pinhole.cy, POSE, FrameName.ENU)


def ground_seen(camera: Camera) -> np.ndarray:
    """East and north of the plain at every pixel centre. [h * w, 2]"""
    rays = camera_rays(camera)
    return rays.at(-rays.origins[:, 2] / rays.directions[:, 2])[:, :2]


@pytest.mark.parametrize("lens", LENSES)
def test_the_undistorted_photo_shows_what_its_pinhole_sees(lens):
    camera = lens_camera(lens)
    photo = undistort(photograph(camera.pycolmap_camera(), POSE), camera)
    view = our_camera(camera)
    assert photo.shape == (view.height, view.width, 3)
    truth = plain_colour(ground_seen(view)).reshape(photo.shape).astype(float)
    error = np.abs(photo - truth)[1:-1, 1:-1]  # the outermost pixels are blended with nothing
    assert np.median(error) < 2
    assert error.max() < 24


@pytest.mark.parametrize("lens", LENSES)
def test_a_point_of_the_lens_photo_lands_on_its_pixel_of_the_undistorted_one(lens):
    camera = lens_camera(lens)
    lens_pixels = np.random.default_rng(0).uniform([12, 10], [52, 38], (50, 2))
    rays = camera.pycolmap_camera().cam_from_img(lens_pixels)
    points = POSE[:, 3] + np.stack([rays[:, 0], -rays[:, 1], -np.ones(50)], -1) @ POSE[:, :3].T * 30
    pixels, _ = our_camera(camera).project(points)
    photo = np.zeros((48, 64, 3), np.uint8)
    column, row = lens_pixels[0].astype(int)
    photo[row - 2:row + 3, column - 2:column + 3] = 255
    rows, columns = np.nonzero(undistort(photo, camera)[..., 0] > 128)
    spot_centre = lens_pixels[0].astype(int) + 0.5
    expected = pixels[0] + (spot_centre - lens_pixels[0])
    np.testing.assert_allclose([columns.mean() + 0.5, rows.mean() + 0.5], expected, atol=0.5)


def test_a_fisheye_photo_is_not_black():
    camera = lens_camera("OPENCV_FISHEYE")
    photo = undistort(photograph(camera.pycolmap_camera(), POSE), camera)
    assert (photo.max(2) > 20).mean() > 0.99


@pytest.mark.parametrize("lens", LENSES)
def test_ordinary_lenses_leave_no_invalid_pixel(lens):
    assert pinhole_of(lens_camera(lens)).valid_png is None


def test_a_pinhole_photo_stays_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    assert undistort(photo, lens_camera("PINHOLE")) is photo
    pinhole = pinhole_of(lens_camera("PINHOLE"))
    assert (pinhole.width, pinhole.height, pinhole.fx, pinhole.fy, pinhole.cx, pinhole.cy) == (64, 48, 50, 51, 32, 24)


def test_where_a_lens_model_folds_there_is_no_picture():
    """r (1 - 0.9 r^2) turns back at r = 0.61: rays beyond it would show the inside once more, mirrored."""
    pinhole = pinhole_of(FOLDING)
    valid = np.asarray(Image.open(io.BytesIO(pinhole.valid_png))) > 0
    view = Camera(pinhole.width, pinhole.height, pinhole.fx, pinhole.fy, pinhole.cx, pinhole.cy, POSE, FrameName.ENU)
    local = camera_rays(view).directions @ POSE[:, :3]
    radius = np.hypot(local[:, 0], local[:, 1]) / -local[:, 2]
    assert not valid.ravel()[radius > 0.75].any()
    assert valid.ravel()[radius < 0.45].all()
    assert pinhole.invalid_share == pytest.approx((~valid).mean())


def test_a_png_stays_without_loss_and_the_rest_becomes_jpeg():
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    content, suffix = picture_bytes(photo, "PNG", 95)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), photo)
    assert (suffix, picture_bytes(photo, "TIFF", 95)[1]) == (".png", ".jpg")
    assert len(picture_bytes(photo, "JPEG", 95)[0]) > len(picture_bytes(photo, "JPEG", 60)[0])
