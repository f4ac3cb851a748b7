"""A full picture of four quarters is the one that is made at once."""

import numpy as np
import pytest

from adaptive_nerf.rendering.types import Output, Quality, RenderCancelled
from adaptive_nerf.viewer.interlaced import Interlaced
from tests.support.fields import camera_over, map_camera, mixture_of, random_field, slanted_camera

ALL = frozenset(Output)
CAMERAS = {"down": camera_over(), "slanted": slanted_camera(), "map": map_camera()}


class Counting:
    """What is asked of the renderer behind."""

    def __init__(self):
        self.renderer, self.rays = mixture_of(random_field()), 0

    def render(self, camera, outputs, quality, cancelled):
        made = self.renderer.render(camera, outputs, quality, cancelled)
        self.rays += made.camera.width * made.camera.height
        return made


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_it_is_the_same_picture(camera):
    camera = camera.resized(32, 24)
    whole = mixture_of(random_field()).render(camera, ALL)
    woven = Interlaced(mixture_of(random_field())).render(camera, ALL)
    assert woven.camera == whole.camera
    assert woven.quality is Quality.FULL
    for output in ALL:
        assert np.allclose(getattr(woven, output), getattr(whole, output), atol=1e-4, equal_nan=True), output


def test_after_the_half_one_only_the_rest_is_rendered():
    behind, camera = Counting(), camera_over().resized(32, 24)
    interlaced = Interlaced(behind)
    half = interlaced.render(camera, ALL, Quality.FAST)
    full = interlaced.render(camera, ALL, Quality.FULL)
    assert behind.rays == 32 * 24
    assert np.array_equal(full.rgb[::2, ::2], half.rgb)


def test_another_camera_or_other_channels_begin_anew():
    behind, camera = Counting(), camera_over().resized(32, 24)
    interlaced = Interlaced(behind)
    interlaced.render(camera, ALL, Quality.FAST)
    interlaced.render(camera_over().resized(32, 24), ALL, Quality.FULL)
    interlaced.render(camera, frozenset({Output.RGB}), Quality.FULL)
    assert behind.rays == (0.25 + 2) * 32 * 24


def test_an_odd_size_is_rendered_at_once():
    camera = camera_over().resized(31, 24)
    assert Interlaced(mixture_of(random_field())).render(camera, ALL).rgb.shape == (24, 31, 3)


def test_it_is_given_up_between_the_quarters():
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) > 2

    with pytest.raises(RenderCancelled):
        Interlaced(mixture_of(random_field())).render(camera_over().resized(32, 24), ALL, Quality.FULL, cancelled)
