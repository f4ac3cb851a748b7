"""Two pictures of one person, told as one."""

from dataclasses import replace

import pytest

from adaptive_nerf.rendering.render_queue import FrameKey, QueueStatus
from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.picture_source import told_as_one

GOOD = QueueStatus(3, 0, FrameKey(3, 0, Quality.FULL), None, Quality.FULL, "", 0.5, 0.0)


@pytest.mark.parametrize(("main", "other", "told"), [("", "gone", "what it is compared with: gone"),
                                                     ("torn", "gone", "torn"), ("", "", "")])
def test_a_failure_of_either_is_told(main, other, told):
    assert told_as_one(replace(GOOD, error=main), replace(GOOD, error=other)).error == told


def test_the_slower_picture_tells_the_time():
    assert told_as_one(GOOD, replace(GOOD, took_s=2.0)).took_s == 2.0
    assert told_as_one(GOOD, replace(GOOD, took_s=None)).took_s == 0.5
