"""Tasks of meta-learning: a piece of ground of one expert, seen in some photos to adapt on and in others to score on.

Each expert's box is cut into cells on the ground. A task's rays lead to points of one cell; which photos see a cell is
found once, by projecting the points of a lattice. The ground is taken for the plane of the lowest altitude.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.geometry.boxes import Box

PROBES = 3  # along each side of a cell
FEWEST_PHOTOS = 2  # one to adapt on, one to score on
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    expert: int
    low: tuple[float, float]  # Y, Z in scene units
    high: tuple[float, float]
    photos: tuple[int, ...]  # places in the store of those that see it


def ground_cells(boxes: Sequence[Box], ground_x: float, photos: Sequence[LoadedPhoto], cell_dim: int) -> list[Cell]:
    """The cells that enough photos see, expert by expert."""
    found = []
    for expert, box in enumerate(boxes):
        edges = [np.linspace(box.low[axis], box.high[axis], cell_dim + 1) for axis in (1, 2)]
        for row in range(cell_dim):
            for column in range(cell_dim):
                low, high = ((float(edges[0][row + up]), float(edges[1][column + up])) for up in (0, 1))
                seen = _seen_by(_lattice(low, high, ground_x), photos)
                if len(seen) >= FEWEST_PHOTOS:
                    found.append(Cell(expert, low, high, seen))
    return found


def points_in(cell: Cell, ground_x: float, shares: npt.NDArray[np.floating]) -> Points:
    """Points of the cell for numbers in [0, 1). [n, 2] -> [n, 3]"""
    low, high = np.array(cell.low), np.array(cell.high)
    return np.concatenate([np.full((len(shares), 1), ground_x), low + shares * (high - low)], 1)


def pixels_of(points: Points, photo: LoadedPhoto) -> npt.NDArray[np.int64]:
    """The pixel within its photo in which each point is seen, -1 where it is not. [n, 3] -> [n]"""
    camera = photo.camera
    at, depth = camera.project(points)
    column, row = np.floor(at).T
    inside = (depth > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
    column, row = (np.where(inside, place, 0).astype(np.int64) for place in (column, row))
    index = row * camera.width + column
    return np.where(inside & photo.valid.ravel()[index], index, -1)


def _lattice(low: tuple[float, float], high: tuple[float, float], ground_x: float) -> Points:
    shares = (np.arange(PROBES) + 0.5) / PROBES
    grid = np.stack(np.meshgrid(shares, shares, indexing="ij"), -1).reshape(-1, 2)
    return points_in(Cell(0, low, high, ()), ground_x, grid)


def _seen_by(points: Points, photos: Sequence[LoadedPhoto]) -> tuple[int, ...]:
    return tuple(place for place, photo in enumerate(photos) if (pixels_of(points, photo) >= 0).any())
