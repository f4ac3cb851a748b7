"""What stands in one person's window while its pictures come one after the other."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.comparing import Comparison
from adaptive_nerf.viewer.picker import Picker
from adaptive_nerf.viewer.screen import Screen
from adaptive_nerf.viewer.witnesses import Witnesses


@pytest.fixture
def window():
    """What the browser is sent."""
    sent = SimpleNamespace(depth=None)
    sent.set_background_image = lambda _, depth, **__: setattr(sent, "depth", depth)
    return sent


@pytest.fixture
def screen(georeferenced, window):
    return Screen(window, georeferenced, Picker(georeferenced, Witnesses([], georeferenced)), lambda: None,
                  lambda: None)


def test_one_who_compares_waits_for_the_other_picture(screen, frame_of):
    frame = replace(frame_of(4, 6), quality=Quality.DRAFT)
    screen.take(frame)
    assert not screen.waits_for_other
    screen.set_look(comparison=Comparison.SPLIT)
    assert screen.waits_for_other
    screen.take(frame, frame)
    assert not screen.waits_for_other
    assert screen.quality is Quality.DRAFT


def at_depth(frame_of, depth_m):
    return frame_of(4, 60, rgb=np.zeros((4, 60, 3), np.float32), depth_m=np.full((4, 60), depth_m, np.float32))


def test_left_of_the_edge_a_click_is_for_the_picture_that_is_seen_there(screen, frame_of):
    screen.take(at_depth(frame_of, 40.0), at_depth(frame_of, 20.0))
    screen.set_look(comparison=Comparison.SPLIT, edge=0.5)
    assert screen.pick(0.25, 0.5).distance_m == pytest.approx(20)
    assert screen.pick(0.75, 0.5).distance_m == pytest.approx(40)
    screen.set_look(comparison=Comparison.DIFFERENCE)
    assert screen.pick(0.25, 0.5).distance_m == pytest.approx(40)


def test_left_of_the_edge_what_is_drawn_is_hidden_by_the_picture_that_is_seen_there(screen, frame_of, window):
    screen.set_look(comparison=Comparison.SPLIT, edge=0.5)
    for left_m in (40.0, np.nan):  # nothing hides nothing
        screen.take(at_depth(frame_of, 20.0), at_depth(frame_of, left_m))
        screen.send_if_changed()
        assert (window.depth[:, :30] > window.depth[0, 59]).all()
        assert (window.depth[:, 30:] == window.depth[0, 59]).all()
