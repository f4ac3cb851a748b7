"""What the operations hand to each other: rays, the regions of the loaded experts, and one flat buffer of samples.

A *slot* is a loaded expert: operations know slots, never expert ids. All positions are in scene units unless a name
says `local`: (p - box min) / longest side of the box, so that cells are cubes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

BLOCK = 4  # cells along an edge of one word of an occupancy grid


@dataclass(frozen=True)
class Rays:
    origins: Tensor  # [n_rays, 3]
    directions: Tensor  # [n_rays, 3], of length 1
    near: float = 0.0
    far: float = float("inf")

    def some(self, which: Tensor) -> Rays:
        """Those of the numbers [n]."""
        return replace(self, origins=self.origins.index_select(0, which),
                       directions=self.directions.index_select(0, which))


@dataclass(frozen=True)
class Regions:
    """Where the slots lie, and who is asked where boxes overlap."""

    boxes: tuple[tuple[float, ...], ...]  # [n_slots][6]: min x y z, max x y z
    centroids: tuple[tuple[float, ...], ...]  # [n_slots][3]
    margin: float = 1.0  # a slot is asked up to this multiple of the least distance to a centroid; 1: the nearest alone
    axes: tuple[int, ...] = (0, 1, 2)  # of those distances
    routing: Literal["smooth", "inverse"] = "smooth"
    whole: tuple[float, ...] | None = None  # the box around all boxes, where some are not loaded: steps begin there

    def __post_init__(self) -> None:
        if len(self.boxes) != len(self.centroids) or not self.boxes:
            raise ValueError("regions need one box and one centroid a slot, and at least one slot")
        if any(box[axis] >= box[axis + 3] for box in self.boxes for axis in range(3)):
            raise ValueError("a box of the regions is empty")
        if self.margin < 1:
            raise ValueError(f"the margin of the regions is {self.margin}; it is at least 1")

    @classmethod
    def of(cls, boxes: Sequence[Sequence[float]]) -> Regions:
        """Centroids in the middle of the boxes, the nearest alone."""
        middles = tuple(tuple((box[axis] + box[axis + 3]) / 2 for axis in range(3)) for box in boxes)
        return cls(tuple(map(tuple, boxes)), middles)

    @cached_property
    def bounds(self) -> tuple[float, ...]:
        """The box around all boxes."""
        if self.whole is not None:
            return self.whole
        return (*(min(box[axis] for box in self.boxes) for axis in range(3)),
                *(max(box[axis] for box in self.boxes) for axis in range(3, 6)))

    @cached_property
    def sides(self) -> tuple[float, ...]:
        """The longest side of each box."""
        return tuple(max(box[axis + 3] - box[axis] for axis in range(3)) for box in self.boxes)


@dataclass(frozen=True)
class Occupancy:
    """One bit a cell, for each slot over its own box; 4 x 4 x 4 cells are one word, bit 16 x + 4 y + z of it."""

    words: Tensor  # [n_words] int64, slot after slot; blocks with z fastest
    blocks: tuple[tuple[int, int, int], ...]  # [n_slots], along x, y, z
    cell: float  # edge, in scene units

    @classmethod
    def full(cls, regions: Regions, cell: float, device: torch.device | str = "cpu") -> Occupancy:
        blocks = tuple(blocks_of(box, cell) for box in regions.boxes)
        total = sum(x * y * z for x, y, z in blocks)
        return cls(torch.full((total,), -1, dtype=torch.int64, device=device), blocks, cell)

    @cached_property
    def first_words(self) -> tuple[int, ...]:
        found = [0]
        for x, y, z in self.blocks:
            found.append(found[-1] + x * y * z)
        return tuple(found)


@dataclass(frozen=True)
class Stepping:
    """How a ray is cut: lattice point k lies at t0 + (k + u) * step, where t0 is where the ray enters the regions."""

    step: float  # scene units
    key: int | None = None  # of the draws of u, one a ray (stratified); None: u = 0.5 (centred)
    most: int = 1024  # samples a ray in this call

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise ValueError(f"the step along a ray is {self.step}; it is greater than 0")


@dataclass(frozen=True)
class Samples:
    """One row a sample, rows of a slot together; fixed capacity, of which the first `count` rows are in use.

    A place that two slots share is one row for each, with the same t: the step is shared out by their weights.
    """

    local: Tensor  # [capacity, 3]
    slots: Tensor  # [capacity] int32
    rays: Tensor  # [capacity] int32
    t: Tensor  # [capacity]
    delta: Tensor  # [capacity] length of ray that the sample stands for
    order: Tensor  # [capacity] int32: the rows ray by ray, near to far
    offsets: Tensor  # [n_rays + 1] int32: ray r has order[offsets[r]:offsets[r + 1]]
    dropped: Tensor  # [n_rays] bool: no room was left for the ray; it has no samples
    following: Tensor  # [n_rays] int32: the lattice point to go on with, -1 where the ray is done
    count: Tensor  # [1] int32

    def trimmed(self) -> Samples:
        """Without the unused rows. Reads the count: on a GPU that waits for it."""
        n = int(self.count)
        return replace(self, local=self.local[:n], slots=self.slots[:n], rays=self.rays[:n], t=self.t[:n],
                       delta=self.delta[:n], order=self.order[:n])


@dataclass(frozen=True)
class Composited:
    image: Tensor  # [n_rays, 1 + channels]: the opacity, then the channels, over black
    depth: Tensor  # [n_rays] expected: the sum of weight * t
    median: Tensor  # [n_rays] t where half of the light is gone; infinite where that never happens. No gradient
    distortion: Tensor  # [n_rays] the distortion loss of mip-NeRF 360
    weights: Tensor  # [capacity], row by row. No gradient
    relative: Tensor  # [capacity] the weight over the largest of the ray, for the occupancy update. No gradient


@dataclass(frozen=True)
class Surfaces:
    distance: Tensor  # [n_rays] to what is met, NaN where nothing is
    slot: Tensor  # [n_rays] int32: whose samples weigh most, -1 where nothing is met


def next_stretch(stretch: float, mean_samples: float, cap: float, most: float = 16.0) -> float:
    """The factor on the step length that brings the mean samples a ray to the cap; at least 1."""
    return min(most, max(1.0, stretch * mean_samples / cap))


def blocks_of(box: tuple[float, ...], cell: float) -> tuple[int, int, int]:
    """How many words of cells a box takes, along x, y, z."""
    x, y, z = (max(1, -int(-(box[axis + 3] - box[axis]) // (cell * BLOCK))) for axis in range(3))
    return x, y, z
