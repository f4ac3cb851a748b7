from dataclasses import replace

import numpy as np
import pytest

from adaptive_nerf.data.expert_colours import expert_colours
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.viewer.colour_maps import ColourMap, table
from adaptive_nerf.viewer.display import (
    NOTHING,
    Background,
    DisplaySettings,
    Mode,
    depth_range_m,
    shown,
    toned,
    toned_exactly,
)


@pytest.fixture
def frame(frame_of):
    """Left half expert 0 at 20 m, right half expert 1 at 40 m, the top row empty."""
    height, width = 4, 6
    depth = np.where(np.arange(width) < 3, 20.0, 40.0).astype(np.float32) * np.ones((height, 1), np.float32)
    opacity = np.ones((height, width), np.float32)
    expert = np.where(np.arange(width) < 3, 0, 1).astype(np.int16) * np.ones((height, 1), np.int16)
    depth[0], opacity[0], expert[0] = np.nan, 0, -1
    rgb = np.full((height, width, 3), 0.5, np.float32)
    normal = np.zeros((height, width, 3), np.float32)
    return frame_of(height, width, rgb=rgb, depth_m=depth, opacity=opacity, expert_id=expert, normal=normal)


def test_colour_is_the_picture_itself(frame, georeferenced):
    picture = shown(frame, DisplaySettings(), georeferenced, 2)
    assert (picture.rgb == 128).all()
    assert picture.hidden[0].all()
    assert not picture.hidden[1:].any()


def test_depth_goes_from_near_to_far_in_the_legend_and_the_picture(frame, georeferenced):
    settings = DisplaySettings(Mode.DEPTH, depth_range_m=(20, 40), colour_map=ColourMap.GREY)
    picture = shown(frame, settings, georeferenced, 2)
    assert picture.rgb[2, 0].tolist() == [0, 0, 0]
    assert picture.rgb[2, 5].tolist() == [255, 255, 255]
    assert (picture.rgb[0] == NOTHING).all()
    assert (picture.legend.low, picture.legend.high) == ("20 m", "40 m")


def test_the_depth_range_finds_itself_and_survives_an_empty_picture(frame):
    assert depth_range_m(frame.depth_m, ~np.isfinite(frame.depth_m)) == (20, 40)
    assert depth_range_m(frame.depth_m, np.ones(frame.depth_m.shape, bool)) == (0, 1)


def test_opacity_shows_empty_and_solid(frame, georeferenced):
    picture = shown(frame, DisplaySettings(Mode.OPACITY), georeferenced, 2).rgb
    assert (picture[0, 0] == table(ColourMap.VIRIDIS)[0]).all()
    assert (picture[2, 0] == table(ColourMap.VIRIDIS)[-1]).all()


def test_a_roof_has_one_colour_from_wherever_it_is_seen(frame_of, camera_above, georeferenced):
    colours = []
    for position in ((0, -40, 40), (30, 10, 25)):
        camera = camera_above(georeferenced, position).resized(6, 4)
        up = camera.in_frame(FrameName.ENU, georeferenced).c2w[:, :3].T @ np.array([0, 0, 1.0])
        frame = replace(frame_of(4, 6, normal=np.broadcast_to(up, (4, 6, 3)).astype(np.float32)), camera=camera)
        colours.append(shown(frame, DisplaySettings(Mode.NORMAL), georeferenced, 1).rgb[0, 0].tolist())
    assert colours[0] == colours[1] == [128, 128, 255]


def test_experts_have_their_stable_colours(frame, georeferenced):
    picture = shown(replace(frame, rgb=None), DisplaySettings(Mode.EXPERT), georeferenced, 2)
    assert (picture.rgb[2, 0] == expert_colours(2)[0]).all()
    assert (picture.rgb[2, 5] == expert_colours(2)[1]).all()
    assert [name for _, name in picture.legend.patches] == ["expert 0", "expert 1"]


def test_an_experts_colour_is_as_bright_as_the_picture(frame, georeferenced):
    dark = shown(replace(frame, rgb=frame.rgb * 0), DisplaySettings(Mode.EXPERT), georeferenced, 2).rgb[2, 0]
    bright = shown(replace(frame, rgb=frame.rgb * 2), DisplaySettings(Mode.EXPERT), georeferenced, 2).rgb[2, 0]
    assert dark == pytest.approx(0.4 * expert_colours(2)[0], abs=1)
    assert (bright == expert_colours(2)[0]).all()


@pytest.mark.parametrize("mode", [Mode.COLOUR, Mode.DEPTH, Mode.EXPERT])
def test_one_expert_alone_hides_the_others(frame, georeferenced, mode):
    alone = shown(frame, DisplaySettings(mode, expert_alone=1, depth_range_m=(0, 50)), georeferenced, 2)
    everyone = shown(frame, DisplaySettings(mode, depth_range_m=(0, 50)), georeferenced, 2)
    assert (alone.rgb[2, 5] == everyone.rgb[2, 5]).all()
    assert (alone.rgb[2, 0] == NOTHING).all()
    assert alone.hidden[2].tolist() == [True] * 3 + [False] * 3


def test_a_background_stands_where_nothing_is(frame, georeferenced):
    picture = shown(frame, DisplaySettings(background=Background.WHITE), georeferenced, 2).rgb
    assert (picture[0] == 255).all()
    assert (picture[1:] == 128).all()


@pytest.mark.parametrize(("stops", "gamma"), [(0, 1), (1.5, 1), (-2, 1), (0, 2.2), (0.7, 0.6)])
def test_the_brightness_table_agrees_with_its_formula(stops, gamma):
    rgb = np.random.default_rng(0).random((50, 40, 3)).astype(np.float32)
    gap = toned(rgb, stops, gamma).astype(int) - toned_exactly(rgb, stops, gamma).astype(int)
    assert np.abs(gap).max() <= 2  # half a level of 4096, steep in the darks at a great gamma
    assert np.abs(gap).mean() < 0.1


def test_brighter_is_brighter_and_never_leaves_the_range():
    rgb = np.linspace(0, 1, 60, dtype=np.float32).reshape(4, 5, 3)
    plain, bright = toned(rgb, 0, 1), toned(rgb, 2, 1)
    assert (bright >= plain).all()
    assert bright.max() == 255
    assert (toned(np.array([np.nan, -1, 2], np.float32), 0, 1) == [0, 0, 255]).all()


@pytest.mark.parametrize("mode", list(Mode))
def test_a_channel_that_is_not_there_is_said_in_words(frame_of, georeferenced, mode):
    picture = shown(frame_of(4, 6), DisplaySettings(mode), georeferenced, 2)
    assert mode.value in picture.missing
    assert picture.rgb.shape == (4, 6, 3)
