"""Where the experts of a partition sit: centres of equal tiles, or k-means of the camera positions.

Positions are in scene axes: X down, Y right (East), Z back (South). In two dimensions X is the middle of the cameras.
"""

import numpy as np

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.geometry.types import AnyArray, Array

KMEANS_DRAW = 0x6B6D65616E73  # keeps this draw apart from others of the same seed
MOST_ROUNDS = 300


def grid_centroids(positions: Array, grid_dim: tuple[int, int, int]) -> Array:
    """Centres of equal tiles of the positions' [n, 3] bounding box; X outermost, then Y, Z innermost. [K, 3]"""
    low, high = positions.min(axis=0), positions.max(axis=0)
    ticks = [low[axis] + (high[axis] - low[axis]) * (np.arange(count) + 0.5) / count
             for axis, count in enumerate(grid_dim)]
    return np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3)


def kmeans_centroids(positions: Array, count: int, cluster_2d: bool, seed: int) -> Array:
    """Lloyd's iteration from k-means++ seeds; no cluster is ever empty. Ordered by Y, then Z. [count, 3]"""
    points = positions[:, 1:] if cluster_2d else positions
    places = len(np.unique(points, axis=0))
    if count > places:
        raise BadUsage(f"--grid_dim asks for {count} experts, but the cameras stand at {places} different places; "
                       "use fewer experts")
    means = _seeds(points, count, np.random.default_rng([KMEANS_DRAW, seed]))
    owner = np.full(len(points), -1)
    for _ in range(MOST_ROUNDS):
        previous, owner = owner, _owners(points, means)
        if (owner == previous).all():
            break
        means = np.stack([points[owner == cluster].mean(axis=0) for cluster in range(count)])
    if cluster_2d:
        middle = (positions[:, 0].min() + positions[:, 0].max()) / 2
        means = np.insert(means, 0, middle, axis=1)
    return means[np.lexsort((means[:, 0], means[:, 2], means[:, 1]))]


def _seeds(points: Array, count: int, draw: np.random.Generator) -> Array:
    """k-means++: each next seed is a point drawn in proportion to its squared distance from those chosen."""
    chosen = [int(draw.integers(len(points)))]
    while len(chosen) < count:
        distance2 = _distance2(points, points[chosen]).min(axis=1)
        chosen.append(int(draw.choice(len(points), p=distance2 / distance2.sum())))
    return points[chosen]


def _owners(points: Array, means: Array) -> AnyArray:
    """The nearest mean of each point; a mean without points takes the one that lies farthest from its own."""
    distance2 = _distance2(points, means)
    owner = distance2.argmin(axis=1)
    for cluster in range(len(means)):
        if not (owner == cluster).any():
            lonely = np.bincount(owner, minlength=len(means))[owner] == 1
            farthest = np.where(lonely, -1.0, distance2[np.arange(len(points)), owner]).argmax()
            owner[farthest] = cluster
            distance2[farthest] = 0.0  # at home now: not to be taken again
    return owner


def _distance2(points: Array, means: Array) -> Array:  # [n, d], [k, d] -> [n, k]
    return np.asarray(((points[:, None] - means[None]) ** 2).sum(axis=-1))
