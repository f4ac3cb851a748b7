"""What stands in one person's window while its pictures come one after the other."""

from dataclasses import replace

import pytest

from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.comparing import Comparison
from adaptive_nerf.viewer.screen import Screen


@pytest.fixture
def screen(georeferenced):
    return Screen(None, georeferenced, lambda: None, lambda: None)


def test_one_who_compares_waits_for_the_other_picture(screen, frame_of):
    frame = replace(frame_of(4, 6), quality=Quality.DRAFT)
    screen.take(frame)
    assert not screen.waits_for_other
    screen.set_look(comparison=Comparison.SPLIT)
    assert screen.waits_for_other
    screen.take(frame, frame)
    assert not screen.waits_for_other
    assert screen.quality is Quality.DRAFT
