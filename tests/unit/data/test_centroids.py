import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.data.centroids import grid_centroids, kmeans_centroids

POSITIONS = np.random.default_rng(3).uniform([-0.1, -1, -0.5], [0.1, 1, 0.5], (60, 3))
TWO_TOWNS = np.concatenate([POSITIONS[:30] * 0.1 + [0, -5, 0], POSITIONS[30:] * 0.1 + [0, 5, 1]])


def test_grid_centroids_are_the_middles_of_equal_tiles_with_z_innermost():
    corners = np.array([[-1.0, 0.0, 10.0], [1.0, 4.0, 16.0]])
    expected = [[0, 1, 11], [0, 1, 13], [0, 1, 15], [0, 3, 11], [0, 3, 13], [0, 3, 15]]
    np.testing.assert_allclose(grid_centroids(corners, (1, 2, 3)), expected)


def test_a_grid_of_three_dimensions_begins_with_the_upper_layer():
    corners = np.array([[0.0, 0.0, 0.0], [4.0, 2.0, 2.0]])
    np.testing.assert_allclose(grid_centroids(corners, (2, 1, 1)), [[1, 1, 1], [3, 1, 1]])


def test_kmeans_finds_two_towns_in_the_order_of_their_y():
    centroids = kmeans_centroids(TWO_TOWNS, 2, cluster_2d=False, seed=0)
    np.testing.assert_allclose(centroids, [TWO_TOWNS[:30].mean(0), TWO_TOWNS[30:].mean(0)])


def test_kmeans_on_the_map_stands_at_the_middle_height():
    centroids = kmeans_centroids(POSITIONS, 4, cluster_2d=True, seed=0)
    middle = (POSITIONS[:, 0].min() + POSITIONS[:, 0].max()) / 2
    np.testing.assert_allclose(centroids[:, 0], middle)


def test_the_same_seed_gives_the_same_centroids():
    first, second = (kmeans_centroids(POSITIONS, 7, True, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@given(st.integers(1, 12), st.integers(0, 50), st.booleans())
@settings(max_examples=40, deadline=None)
def test_no_cluster_is_empty_and_every_mean_is_that_of_its_cameras(count, seed, cluster_2d):
    repeated = np.repeat(POSITIONS[:12], 4, axis=0)
    centroids = kmeans_centroids(repeated, count, cluster_2d, seed)
    used = slice(1, 3) if cluster_2d else slice(0, 3)
    owner = ((repeated[:, None, used] - centroids[None, :, used]) ** 2).sum(-1).argmin(1)
    for cluster in range(count):
        np.testing.assert_allclose(repeated[owner == cluster][:, used].mean(0), centroids[cluster, used])


def test_more_experts_than_places_is_refused():
    with pytest.raises(BadUsage, match="60 different places"):
        kmeans_centroids(np.repeat(POSITIONS, 2, axis=0), 61, False, seed=0)
