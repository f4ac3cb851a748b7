import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.viewer.compass import compass_html
from adaptive_nerf.viewer.overlay_shapes import (
    FLIGHT_COLOURS,
    box_edges,
    box_top_centre,
    north_arrow,
    round_length_m,
    scale_bar,
    split_colour,
    thinned,
)
from adaptive_nerf.viewer.viewpoints import View


def test_a_box_has_twelve_edges_of_its_three_lengths(georeferenced):
    edges = box_edges(Box(np.array([-0.1, -0.2, -0.3]), np.array([0.1, 0.2, 0.3])), georeferenced)
    lengths = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)
    assert sorted(lengths.round(6).tolist()) == [10.0] * 4 + [20.0] * 4 + [30.0] * 4


def test_the_top_of_a_box_is_up(georeferenced):
    box = Box(np.array([-0.1, -0.2, -0.3]), np.array([0.1, 0.2, 0.3]))  # X is down
    top = georeferenced.convert(FrameName.SCENE, FrameName.VIEWER).points(np.array([-0.1, 0, 0]))
    assert box_top_centre(box, georeferenced) == pytest.approx(top)


@given(st.floats(1e-3, 1e5))
def test_a_scale_bar_is_a_round_number_at_least_two_fifths_of_its_room(room):
    bar = round_length_m(room)
    assert room * 0.399 < bar <= room * 1.000001
    assert float(f"{bar:.1g}") == pytest.approx(bar)
    assert round(bar / 10 ** math.floor(math.log10(bar) + 1e-9)) in (1, 2, 5)


def test_the_bar_lies_along_east_and_the_arrow_along_north():
    bar, arrow = scale_bar(np.zeros(3), 10, 1), north_arrow(np.zeros(3), 4)
    assert bar[0, 1].tolist() == [10, 0, 0]
    assert arrow[0, 1].tolist() == [0, 4, 0]


def test_splits_have_colours_of_their_own():
    flights = ["a", "b"]
    assert split_colour("b", flights) == FLIGHT_COLOURS[1]
    assert len({split_colour(split, flights) for split in ("train", "val", "a", "b", "unknown")}) == 5


def test_a_great_many_photos_are_thinned_evenly():
    assert thinned(3) == [0, 1, 2]
    chosen = thinned(1000, 10)
    assert chosen == list(range(0, 1000, 100))


def test_the_compass_turns_and_the_bar_is_as_long_as_it_says():
    view = View(np.zeros(3), np.array([1.0, 0, -1]), math.radians(90))
    told = compass_html(view, 100.0)  # the window spans 200 m
    assert "rotate(-90.0)" in told
    assert "Looking east, 45° down" in told
    assert "width:10.0vh" in told
    assert "20 m in the middle" in told
    assert "no scale" in compass_html(view, None)
