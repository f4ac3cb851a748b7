"""What the ground is used for: a fine raster over the town, in plan metres, and rules for the country around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from adaptive_nerf.synth.randomness import hash01

CELL_M = 0.125
FIELD_M = (95.0, 70.0)


class Use(IntEnum):
    LAWN = 0
    MEADOW = 1
    DRY_LAWN = 2
    ROAD = 3
    PAVEMENT = 4
    KERB = 5
    MARKING = 6
    DRIVE = 7
    PARKING = 8
    PAVING = 9
    GRAVEL = 10
    BED = 11
    POND = 12
    POOL = 13
    SAND = 14
    BUILDING = 15
    HEDGEROW = 16
    WHEAT = 17
    PASTURE = 18
    CROP = 19
    SOIL = 20
    RAPE = 21


FIELDS = (Use.WHEAT, Use.PASTURE, Use.CROP, Use.SOIL, Use.PASTURE, Use.RAPE)
LAWNS = (Use.LAWN, Use.MEADOW, Use.DRY_LAWN)


@dataclass(frozen=True)
class Road:
    """A straight road of the plan. Along x if `along_x`, at `at_m` on the other axis."""

    along_x: bool
    at_m: float
    half_width_m: float
    pavement_m: float
    goes_on: bool  # beyond the town

    @property
    def edge_m(self) -> float:
        return self.half_width_m + self.pavement_m


@dataclass
class LandUse:
    """Painted while the town is laid out; only read afterwards."""

    size_m: tuple[float, float]
    roads: tuple[Road, ...]
    salt: int
    raster: npt.NDArray[np.uint8] = field(init=False)  # [rows north, columns east]

    def __post_init__(self) -> None:
        columns, rows = (round(extent / CELL_M) for extent in self.size_m)
        self.raster = np.zeros((rows, columns), np.uint8)

    def paint(self, low: tuple[float, float], high: tuple[float, float], use: Use) -> None:
        """Fill a rectangle; what lies outside the town is left out."""
        rows, columns = self._cells(low[1], high[1], 1), self._cells(low[0], high[0], 0)
        self.raster[rows, columns] = use

    def paint_where(self, low: tuple[float, float], high: tuple[float, float], use: Use,
                    inside: Callable[[npt.NDArray, npt.NDArray], npt.NDArray[np.bool_]]) -> None:
        """Fill the part of a rectangle where `inside(x, y)` is true."""
        rows, columns = self._cells(low[1], high[1], 1), self._cells(low[0], high[0], 0)
        part = self.raster[rows, columns]
        y = (np.arange(rows.start, rows.stop) + 0.5)[:, None] * CELL_M - self.size_m[1] / 2
        x = (np.arange(columns.start, columns.stop) + 0.5)[None] * CELL_M - self.size_m[0] / 2
        part[inside(x, y)] = use

    def at(self, x_m: npt.NDArray, y_m: npt.NDArray) -> npt.NDArray[np.uint8]:
        """The use at places of the plan [n], in the town or out of it."""
        rows, columns = self.raster.shape
        column = np.floor((x_m + self.size_m[0] / 2) * (1 / CELL_M)).astype(np.int32)
        row = np.floor((y_m + self.size_m[1] / 2) * (1 / CELL_M)).astype(np.int32)
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        use = self.raster.ravel()[np.where(inside, row * columns + column, 0)]
        outside = np.flatnonzero(~inside)
        if len(outside):
            use[outside] = self._country(x_m[outside], y_m[outside])
        return use

    def one(self, x_m: float, y_m: float) -> Use:
        return Use(int(self.at(np.array([x_m]), np.array([y_m]))[0]))

    def _country(self, x_m: npt.NDArray, y_m: npt.NDArray) -> npt.NDArray[np.uint8]:
        """A patchwork of fields with hedgerows between them, and the main roads going on."""
        column = np.floor(x_m / FIELD_M[0])
        shifted = y_m + 23 * hash01(column, column, self.salt)
        row = np.floor(shifted / FIELD_M[1])
        kind = (hash01(column, row, self.salt + 1) * len(FIELDS)).astype(np.int32)
        use = np.array(FIELDS, np.uint8)[kind]
        from_edge = np.minimum(np.abs(x_m - FIELD_M[0] * np.round(x_m / FIELD_M[0])),
                               np.abs(shifted - FIELD_M[1] * np.round(shifted / FIELD_M[1])))
        use[from_edge < 1.4] = Use.HEDGEROW
        for road in self.roads:
            if road.goes_on:
                off = np.abs((y_m if road.along_x else x_m) - road.at_m)
                use[off < road.half_width_m + 1.5] = Use.PASTURE
                use[off < road.half_width_m] = Use.ROAD
        return use

    def _cells(self, low_m: float, high_m: float, axis: int) -> slice:
        count = self.raster.shape[1 - axis]
        first, last = (round((value + self.size_m[axis] / 2) / CELL_M) for value in (low_m, high_m))
        return slice(min(max(first, 0), count), min(max(last, 0), count))
