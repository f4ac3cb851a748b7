"""Where the ground is, by the survey's points, for places of which the model shows nothing, or nothing true.

Beyond the rim of a flight a road goes on, and two or three photos show it; the survey has points of it, the model
hardly ever the right depth. Columns with several points are known; others where they go on as their neighbours do; all
else is as high as the nearest that is known. Measured on the town with COLMAP's points (photos of 1024x768, quality
"low"), nine in ten heights are within 0.24 m where they are known, 0.8 m up to 10 m from there, 1.3 m to 30 m, 2 m to
100 m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from adaptive_nerf.geometry.types import Array, BoolArray

COLUMN_M, MOST_COLUMNS = 4.0, 256  # of the ground: their side, and how many along it at most
SURE, LOW = 3, 0.1  # points in a column, for its height to be known: of its points all but a tenth are higher
LIKE_M, LIKE_SLOPE = 0.5, 0.1  # fewer tell it where it goes on so from the nearest known: at most, and by the distance
ROUNDS = 8  # in which the known grows by those
HOUSE_M = 20.0  # what stands on the ground is narrower
MEDIAN = 5  # columns each way: a single point far below the ground is an error
STANDS_M = 2.0  # above the ground: what a ray meets there is not the ground
FARTHEST_M = 150.0  # from the nearest column that is known
LEAST_FALL = 0.05  # of a ray, metres down by metres along: a flatter one meets the ground anywhere
TURNS, CLOSE_M = 30, 0.02
SPAN = (3, 97)  # percentiles; a point three times as far out as these are apart is an error of the survey


class Hit(NamedTuple):
    enu_m: Array  # [3]
    away_m: float  # from the nearest column whose ground is known


@dataclass(frozen=True)
class Ground:
    """Over columns of the map, in ENU metres."""

    low_m: Array  # [2] the corner of the first column
    side_m: float
    height_m: Array  # [easts, norths] of the ground
    top_m: Array  # [easts, norths] of what stands there; -inf where it is not known
    away_m: Array  # [easts, norths] from the nearest that is known

    def hit(self, origin: Array, direction: Array) -> Hit | None:
        """Where a ray [3], [3] meets the ground; None where it does not, or meets something else before."""
        direction = direction / np.linalg.norm(direction)
        if not direction[2] < -LEAST_FALL:
            return None
        place = self._on_ground(origin, direction)
        if place is None or self._is_blocked(place, direction, origin[2]):
            return None
        away_m = self._away(place)
        return Hit(place, away_m) if away_m <= FARTHEST_M else None

    def _on_ground(self, origin: Array, direction: Array) -> Array | None:
        """By turns the ray's place at a height, and the ground's height at that place."""
        height = float(self.height_m.mean())
        for _ in range(TURNS):
            along = (height - origin[2]) / direction[2]
            if along <= 0:
                return None
            place: Array = origin + along * direction
            found = self.height_at(place)
            if abs(found - height) < CLOSE_M:
                return place
            height = (height + found) / 2  # half the way: a steep slope throws it to and fro
        return None

    def _is_blocked(self, place: Array, direction: Array, from_m: float) -> bool:
        """Whether something that the survey knows stands before it: looked at from the ground up to its highest."""
        highest = min(float(self.top_m.max()), from_m)
        reach = (highest - place[2]) / -direction[2]
        back = np.arange(0.0, max(reach, 0.0), self.side_m / 2)[:, None]
        ray = place - back * direction
        column, row = self._column(ray)
        top = np.where(self._is_inside(ray), self.top_m[column, row], -np.inf)
        return bool((top > np.maximum(ray[:, 2], self.height_m[column, row] + STANDS_M)).any())

    def height_at(self, place: Array) -> float:
        """Between the middles of columns as on a plane."""
        at = (place[:2] - self.low_m) / self.side_m - 0.5
        return float(ndimage.map_coordinates(self.height_m, at[:, None], order=1, mode="nearest")[0])

    def _away(self, place: Array) -> float:
        size = np.array(self.height_m.shape) * self.side_m
        outside = np.maximum(0.0, np.maximum(self.low_m - place[:2], place[:2] - self.low_m - size))
        return float(self.away_m[self._column(place)] + np.linalg.norm(outside))

    def _column(self, places: Array) -> tuple[Array, Array]:
        """Of places [..., 3], the nearest that there is."""
        at = np.floor((places[..., :2] - self.low_m) / self.side_m).astype(int)
        return tuple(np.moveaxis(np.clip(at, 0, np.array(self.height_m.shape) - 1), -1, 0))

    def _is_inside(self, places: Array) -> BoolArray:
        at = (places[..., :2] - self.low_m) / self.side_m
        return ((at >= 0) & (at < self.height_m.shape)).all(-1)


def ground_of(points_enu_m: Array) -> Ground | None:
    """From the survey's points [n, 3]; None where they tell of no column."""
    points = _without_strays(points_enu_m[np.isfinite(points_enu_m).all(1)])
    if not len(points):
        return None
    low_m, high_m = points[:, :2].min(0), points[:, :2].max(0)
    side_m = max(COLUMN_M, float((high_m - low_m).max()) / MOST_COLUMNS)
    shape = np.maximum(1, np.ceil((high_m - low_m) / side_m)).astype(int)
    lowest, highest, counts = _columns(points, low_m, side_m, shape)
    known = counts >= SURE
    if not known.any():
        return None
    for _ in range(ROUNDS):
        height, away_m = _height_of(lowest, known, side_m)
        like = np.abs(lowest - height) < LIKE_M + LIKE_SLOPE * away_m
        known |= (counts > 0) & like
    height, away_m = _height_of(lowest, known, side_m)
    return Ground(low_m, side_m, height, np.where(known, highest, -np.inf), away_m)


def _without_strays(points: Array) -> Array:
    if not len(points):
        return points
    low, high = np.percentile(points, SPAN, axis=0)
    kept: Array = points[(np.abs(points - np.median(points, axis=0)) <= 3 * (high - low)).all(1)]
    return kept


def _height_of(lowest: Array, known: BoolArray, side_m: float) -> tuple[Array, Array]:
    """The ground of all columns, from those that are known, and how far the nearest of them is. [easts, norths] each"""
    away, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
    dug = _opened(np.where(known, lowest, np.inf), round(HOUSE_M / side_m) | 1)[tuple(nearest)]
    return ndimage.median_filter(dug, MEDIAN, mode="nearest")[tuple(nearest)], side_m * away


def _columns(points: Array, low_m: Array, side_m: float, shape: Array) -> tuple[Array, Array, Array]:
    """How low and how high each column reaches, inf and -inf where no point is; and its points. [easts, norths] each"""
    east, north = np.clip(((points[:, :2] - low_m) / side_m).astype(int), 0, shape - 1).T
    of = east * shape[1] + north
    order = np.lexsort((points[:, 2], of))
    told, first, counts = np.unique(of[order], return_index=True, return_counts=True)
    lowest, highest, of_each = np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape, int)
    for found, share in ((lowest, LOW), (highest, 1 - LOW)):
        found.flat[told] = points[order[first + (share * (counts - 1)).astype(int)], 2]
    of_each.flat[told] = counts
    return lowest, highest, of_each


def _opened(lowest: Array, width: int) -> Array:
    """Without what stands on it and is narrower. [easts, norths], inf where it is not known"""
    dug = ndimage.minimum_filter(lowest, width, mode="constant", cval=np.inf)
    dug = np.where(np.isfinite(dug), dug, -np.inf)
    return np.asarray(ndimage.maximum_filter(dug, width, mode="constant", cval=-np.inf))
