import numpy as np

from adaptive_nerf.viewer.colour_maps import table
from adaptive_nerf.viewer.comparing import CHANGE_MAP, difference, of_size, split
from adaptive_nerf.viewer.legends import Legend, legend_html

BEFORE, AFTER = np.full((4, 100, 3), 10, np.uint8), np.full((4, 100, 3), 200, np.uint8)


def test_before_is_left_of_the_edge_and_after_right_of_it():
    picture = split(BEFORE, AFTER, 0.3)
    assert (picture[:, :28] == 10).all()
    assert (picture[:, 32:] == 200).all()
    assert (picture[:, 30] == 255).all()


def test_at_the_ends_one_picture_fills_the_window():
    assert (split(BEFORE, AFTER, 1.0) == 10).all()
    assert (split(BEFORE, AFTER, 0.0) == 200).all()


def test_no_difference_and_a_great_one_have_the_ends_of_the_map():
    same, legend = difference(BEFORE, BEFORE)
    changed, _ = difference(BEFORE, AFTER)
    assert (same == table(CHANGE_MAP)[0]).all()
    assert (changed == table(CHANGE_MAP)[-1]).all()
    assert "50%" in legend.high


def test_pictures_of_two_sizes_are_brought_to_one():
    small = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    assert of_size(small, 4, 4)[:, :, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_a_legend_is_html_without_anybodys_markup():
    told = legend_html(Legend("<b>", ((0, 0, 0), (255, 255, 255)), "0 m", "9 m", (((1, 2, 3), "<i>"),)))
    assert "<b>" not in told
    assert "<i>" not in told
    assert "rgb(1,2,3)" in told
