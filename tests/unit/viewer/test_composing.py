from dataclasses import replace

import numpy as np
import pytest

from adaptive_nerf.viewer.comparing import Comparison
from adaptive_nerf.viewer.composing import FARTHEST_UNITS, SLACK_M, Look, composed, overlay_depth
from adaptive_nerf.viewer.display import DisplaySettings, Mode


@pytest.fixture
def pair(frame_of):
    """Before: dark, at 20 m. After: bright, at 10 to 40 m from top to bottom."""
    depths = np.full(4, 20.0), np.linspace(10, 40, 4)
    return [frame_of(4, 60, rgb=np.full((4, 60, 3), grey, np.float32),
                     depth_m=np.repeat(depth_m[:, None], 60, axis=1).astype(np.float32))
            for grey, depth_m in zip((0.2, 0.8), depths, strict=True)]


def test_a_split_shows_before_on_the_left_and_after_on_the_right(pair, georeferenced):
    before, after = pair
    picture = composed(after, before, Look(comparison=Comparison.SPLIT, edge=0.5), georeferenced, 1).rgb
    assert (picture[:, :25] == 51).all()
    assert (picture[:, 35:] == 204).all()


def test_both_depths_are_in_the_same_colours(pair, georeferenced):
    before, after = pair
    look = Look(DisplaySettings(Mode.DEPTH), Comparison.SPLIT, 0.5)
    with_itself = composed(after, replace(after), look, georeferenced, 1).rgb
    with_before = composed(after, before, look, georeferenced, 1).rgb
    assert (with_itself[:, :25] == with_itself[:, 35:]).all()
    assert (with_before[:, 0] == with_before[0, 0]).all()  # 20 m all over
    assert with_before[0, 0].tolist() not in (with_itself[0, 0].tolist(), with_itself[3, 0].tolist())


def test_the_difference_has_its_own_legend(pair, georeferenced):
    before, after = pair
    assert "changed" in composed(after, before, Look(comparison=Comparison.DIFFERENCE), georeferenced, 1).legend.title


def test_without_another_picture_there_is_no_comparison(pair, georeferenced):
    look = Look(comparison=Comparison.SPLIT)
    assert (composed(pair[1], None, look, georeferenced, 1).rgb == 204).all()


@pytest.mark.parametrize("metres_per_unit", [1.6, 4.5])
def test_overlays_are_hidden_so_many_metres_behind_and_never_where_nothing_is(metres_per_unit):
    depth_m = np.linspace(1, 200, 24).reshape(4, 6).astype(np.float32)
    hidden = np.zeros((4, 6), bool)
    hidden[0, 0] = True
    units = overlay_depth(depth_m, hidden, metres_per_unit)
    assert units[0, 0] == pytest.approx(FARTHEST_UNITS, abs=2e-3)
    assert units[1:] == pytest.approx((depth_m[1:] + SLACK_M) / metres_per_unit, abs=2e-3)
    assert ((units * 100_000).astype(np.uint32) % 256 < 8).all()  # the last byte stays the same: the file is small
