"""One person's pictures of the model and of what it is compared with."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.rendering.types import Frame, Quality
from adaptive_nerf.viewer.picture_source import NOW, PictureSource
from tests.support.waiting import wait_until

LAST = 30.0


def camera(place: float) -> Camera:
    c2w = np.eye(3, 4)
    c2w[0, 3] = place
    return Camera(8, 6, 8, 8, 4, 3, c2w, FrameName.VIEWER)


class FakeRenderer:
    def __init__(self, name, error=None):
        self.name, self.error, self.made = name, error, []
        self.memory_was_short = False

    def only(self, experts):
        return self

    def render(self, camera, outputs, quality, cancelled):
        if self.error is not None:
            raise self.error
        self.made.append(quality)
        return Frame(camera, self.name, quality)


class Eyes:
    """Of whoever sits before the screen."""

    def __init__(self):
        self.seen = []

    def take(self, frame, other):
        self.seen.append((frame, other))

    def are_at(self, place):
        return bool(self.seen) and self.seen[-1][0].camera.c2w[0, 3] == place

    def has(self, name, quality=Quality.FULL, place=LAST):
        frame, other = self.seen[-1] if self.seen else (None, None)
        return frame is not None and frame.quality is quality and frame.camera.c2w[0, 3] == place and \
            (other.model_version if other else None) == name


@pytest.fixture
def eyes():
    return Eyes()


@pytest.fixture
def source_of(eyes):
    made = []

    def make(now, **others):
        backend = SimpleNamespace(model=lambda: SimpleNamespace(renderer=now), renderer_of=others.__getitem__)
        source = PictureSource(backend, eyes, lambda: source.fetch() if made else None)
        made.append(source)
        return source

    yield make
    for source in made:
        source.close()


def test_both_pictures_are_always_of_one_view_and_quality_while_it_moves(source_of, eyes):
    source = source_of(FakeRenderer("now"), before=FakeRenderer("before"))
    source.compare_with("before")
    for place in np.linspace(0, LAST, 31):
        source.want(camera(place), Quality.FULL)
        wait_until(partial(eyes.are_at, place), "a picture of this place")
    wait_until(lambda: eyes.has("before"), "the sharp pair")
    for frame, other in eyes.seen:
        assert (other.camera, other.quality) == (frame.camera, frame.quality)


def test_the_model_is_not_rendered_anew_for_a_comparison_nor_the_other_for_a_newer_model(source_of, eyes):
    now, before = FakeRenderer("now"), FakeRenderer("before")
    source = source_of(now, before=before)
    source.want(camera(LAST), Quality.FULL)
    wait_until(lambda: eyes.has(None), "the model alone")
    source.compare_with("before")
    wait_until(lambda: eyes.has("before"), "the pair")
    source.model_changed()
    wait_until(lambda: source.status().done, "the pair with the newer model")
    assert now.made == before.made == list(Quality)
    source.compare_with(None)
    wait_until(lambda: eyes.has(None), "no comparison")


def test_somebody_looks_at_another_state_and_compares_it_with_the_model_now(source_of, eyes):
    source = source_of(FakeRenderer("now"), adapted=FakeRenderer("adapted"))
    source.want(camera(LAST), Quality.FULL)
    source.look_at("adapted")
    source.compare_with(NOW)
    wait_until(lambda: eyes.has("now") and eyes.seen[-1][0].model_version == "adapted", "both")
    source.look_at(None)
    wait_until(lambda: eyes.has("now") and eyes.seen[-1][0].model_version == "now", "this page's model")


def test_memory_that_was_short_is_told_of_whatever_is_seen(source_of, eyes):
    now, before = FakeRenderer("now"), FakeRenderer("before")
    source = source_of(now, before=before)
    source.want(camera(LAST), Quality.FULL)
    source.compare_with("before")
    wait_until(lambda: eyes.has("before"), "the pair")
    assert not source.memory_was_short
    before.memory_was_short = True
    assert source.memory_was_short
    source.compare_with(None)
    assert not source.memory_was_short
    now.memory_was_short = True
    assert source.memory_was_short


def test_a_failure_of_the_other_is_told_as_its_own(source_of):
    source = source_of(FakeRenderer("now"), gone=FakeRenderer("gone", Failure("it is gone")))
    source.want(camera(LAST), Quality.FULL)
    source.compare_with("gone")
    wait_until(lambda: source.status().error, "the failure")
    assert "what it is compared with: it is gone" in source.status().error
