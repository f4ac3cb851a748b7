import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adaptive_nerf.pipelines import pictures
from adaptive_nerf.pipelines.pictures import (
    ERROR_SCALE,
    NO_NUMBER,
    NOTHING,
    Scale,
    bar_labels,
    depth_pixels,
    depth_scale,
    error_pixels,
    photo_pixels,
    png_bytes,
    small_jpeg,
    write_png,
)

VALID = np.ones((4, 5), bool)


def brightness(pixels):
    return pixels.astype(float) @ [0.299, 0.587, 0.114]


def test_a_png_gives_back_the_bytes_it_was_made_from():
    pixels = photo_pixels(np.random.default_rng(0).random((4, 5, 3)))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(pixels)))), pixels)


def test_bytes_of_a_photo_come_back_from_floats():
    every = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, -1)
    np.testing.assert_array_equal(photo_pixels(every.astype(np.float32) / 255), every)


def test_what_is_no_number_is_seen():
    picture = np.full((4, 5, 3), 0.5)
    picture[1, 2, 0] = np.nan
    assert tuple(photo_pixels(picture)[1, 2]) == tuple(NO_NUMBER)
    assert tuple(photo_pixels(picture)[0, 0]) == (128, 128, 128)
    assert tuple(error_pixels(picture, np.full((4, 5, 3), 0.5), VALID)[1, 2]) == tuple(NO_NUMBER)


@pytest.mark.parametrize("colours", ["inferno", "viridis"])
def test_the_colours_grow_brighter_with_the_value(colours):
    ramp = Scale(0, 1, "", colours).paint(np.linspace(0, 1, 64))
    assert (np.diff(brightness(ramp)) > -0.5).all()


def test_an_error_map_is_the_root_mean_square_of_the_channels():
    real = np.full((4, 5, 3), 0.5)
    seen = real + np.array([0.3, 0.0, 0.0])
    valid = VALID.copy()
    valid[0] = False
    pixels = error_pixels(seen, real, valid)
    np.testing.assert_array_equal(pixels[1:], ERROR_SCALE.paint(np.full((3, 5), 0.3 / np.sqrt(3))))
    assert tuple(pixels[0, 0]) == tuple(NOTHING)


def test_near_is_bright_nothing_is_grey_and_the_bar_tells_the_metres():
    depth = np.linspace(20, 60, 200 * 100).reshape(100, 200)
    depth[50, 100] = np.nan
    pixels = depth_pixels(depth)
    assert brightness(pixels[0, 0]) > brightness(pixels[99, 199])
    assert tuple(pixels[50, 100]) == tuple(NOTHING)
    assert pixels.shape[0] > 100
    assert [text for _, text, _ in bar_labels(depth_scale(depth), 200)] == ["21", "59 m", "40"]


def test_depth_maps_to_be_compared_share_a_scale():
    near, far = np.full((4, 4), 10.0), np.full((4, 4), 50.0)
    scale = depth_scale(near, far)
    assert (scale.low, scale.high) == (10, 50)
    assert not np.array_equal(depth_pixels(near, scale)[0, 0], depth_pixels(far, scale)[0, 0])


def test_a_map_without_any_depth_is_all_grey():
    assert (depth_pixels(np.full((4, 60), np.nan))[:4] == NOTHING).all()


@given(st.integers(16, 400), st.floats(-1e3, 1e3), st.floats(0.1, 1e4))
def test_labels_never_run_into_each_other_in_the_middle(width, low, span):
    labels = bar_labels(Scale(low, low + span, "m", "viridis"), width)
    assert len(labels) == 2 or width >= 64


def test_a_picture_for_the_page_is_no_wider_than_asked():
    wide = np.zeros((300, 1000, 3), np.uint8)
    assert Image.open(io.BytesIO(small_jpeg(wide, 400))).size == (400, 120)
    assert Image.open(io.BytesIO(small_jpeg(wide, 2000))).size == (1000, 300)


def test_a_picture_is_whole_or_not_there(tmp_path, monkeypatch):
    def half(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(pictures.atomic_files.os, "fsync", half)
    with pytest.raises(KeyboardInterrupt):
        write_png(tmp_path / "pred" / "16" / "a.png", np.zeros((2, 2, 3), np.uint8))
    assert list((tmp_path / "pred" / "16").iterdir()) == []
