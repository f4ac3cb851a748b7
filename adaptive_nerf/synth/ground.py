"""The ground and a flood's surface as one rectilinear grid: fine in the town, ever coarser out to the horizon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adaptive_nerf.synth.layout import Layout
from adaptive_nerf.synth.mesh import Material, Mesh, triangles

FINE_M = 1.6
HORIZON_M = 2600.0
MARGIN_M = 40.0  # how far out of the town the fine grid goes


def ground_mesh(layout: Layout) -> Mesh:
    x, y = _ticks(layout.size_m[0] / 2), _ticks(layout.size_m[1] / 2)
    places = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)  # [nx, ny, 2]
    plan = layout.bend.to_plan(places)
    points = np.concatenate([places, layout.terrain.height(places[..., 0], places[..., 1])[..., None]], axis=-1)
    return triangles(_cells(points), Material.GROUND, (0.1, 0.1, 0.1), _cells(plan))


def water_mesh(layout: Layout, water_m: float) -> Mesh:
    """A level sheet where the ground of the town, or close to it, lies below the water."""
    x, y = (_ticks(extent / 2) for extent in layout.size_m)
    x, y = (ticks[np.abs(ticks) <= extent / 2 + MARGIN_M] for ticks, extent in zip((x, y), layout.size_m, strict=True))
    places = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    ground = layout.terrain.height(places[..., 0], places[..., 1])
    sheet = np.concatenate([places, np.full((*places.shape[:2], 1), water_m)], axis=-1)
    wet = _cells(ground[..., None])[..., 0].min(-1) < water_m
    return triangles(_cells(sheet)[wet], Material.WATER, (0.125, 0.130, 0.105))


def _ticks(half_m: float) -> npt.NDArray[np.float64]:
    inner = half_m + MARGIN_M
    fine = np.linspace(-inner, inner, max(2, round(2 * inner / FINE_M)) + 1)
    outer = np.geomspace(inner, HORIZON_M, 26)[1:]
    return np.concatenate([-outer[::-1], fine, outer])


def _cells(grid: npt.NDArray) -> npt.NDArray:
    """Two triangles for each cell of a grid [nx, ny, k]. [n, 3, k]"""
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    both = np.stack([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)], axis=2)  # [nx, ny, 2, 3, k]
    return both.reshape(-1, 3, grid.shape[-1])
