import io

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.data.valid_borders import mask_png, undistortion_borders


def picture(brightness: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(brightness - 20, brightness + 20, (96, 128, 3)).astype(np.uint8)


@pytest.fixture
def bordered() -> np.ndarray:
    """Six black columns at the left, and a dark pond in the middle that does not touch the frame."""
    rgb = picture()
    rgb[:, :6] = 0
    rgb[40:50, 60:80] = 3
    return rgb


def test_the_border_goes_with_two_pixels_more_and_the_pond_stays(bordered):
    valid = undistortion_borders(bordered)
    assert not valid[:, :8].any()
    assert valid[:, 8:].all()


def test_a_bright_photo_has_no_borders():
    assert undistortion_borders(picture()) is None


def test_the_smear_of_jpeg_into_the_border_is_no_picture(bordered):
    buffer = io.BytesIO()
    Image.fromarray(bordered).save(buffer, "JPEG", quality=80)
    valid = undistortion_borders(np.asarray(Image.open(buffer)))
    assert not valid[:, :6].any()
    assert valid[:, 12:].all()


def test_a_shadow_at_the_frame_is_not(bordered):
    shadow = bordered.copy()
    shadow[:, :6] = np.random.default_rng(1).integers(8, 23, (96, 6, 3))
    assert undistortion_borders(shadow) is None


def test_a_night_photo_is_not():
    assert undistortion_borders(np.zeros((96, 128, 3), np.uint8)) is None


def test_a_few_dark_pixels_at_the_frame_are_not():
    rgb = picture()
    rgb[0, :10] = 0
    assert undistortion_borders(rgb) is None


def test_a_mask_comes_back_from_its_file():
    valid = np.random.default_rng(0).random((30, 40)) > 0.5
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(mask_png(valid)))) > 0, valid)


def test_the_real_flight_has_borders_of_about_one_per_cent(real_flight):
    for path in sorted((real_flight / "train" / "rgbs").iterdir())[:5]:
        valid = undistortion_borders(np.asarray(Image.open(path)))
        assert valid is not None
        assert 0.005 < (~valid).mean() < 0.05
