"""What stands in one person's window while its pictures come one after the other."""

from dataclasses import replace

import pytest

from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.comparing import Comparison
from adaptive_nerf.viewer.screen import Screen


@pytest.fixture
def screen(georeferenced):
    return Screen(None, georeferenced, lambda: None, lambda: None)


def test_one_who_compares_waits_for_the_other_picture_of_the_same_view(screen, frame_of, camera_above, georeferenced):
    frame = frame_of(4, 6)
    moved = replace(frame, camera=camera_above(georeferenced, (0, -41, 40)).resized(6, 4))
    screen.take(frame)
    assert not screen.waits_for_other
    screen.set_look(comparison=Comparison.SPLIT)
    assert screen.waits_for_other
    screen.take_other(moved)
    assert screen.waits_for_other
    screen.take_other(replace(frame, quality=Quality.DRAFT))
    assert not screen.waits_for_other
    assert screen.quality is Quality.DRAFT
    screen.set_look(comparison=Comparison.OFF)
    assert screen.quality is Quality.FULL
