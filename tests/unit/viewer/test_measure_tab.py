"""What the tab draws of a distance."""

import numpy as np

from adaptive_nerf.viewer.measure_tab import POST_UNITS, fence


def test_a_distance_is_a_line_between_two_posts_above_the_ground():
    start, end = np.array([1.0, 2, 3]), np.array([5.0, 2, 3])
    first, second, line = fence(start, end)
    assert np.array_equal(first[0], start)
    assert np.array_equal(second[0], end)
    assert np.array_equal(line, [first[1], second[1]])
    assert np.allclose(line[:, 2], 3 + POST_UNITS)
