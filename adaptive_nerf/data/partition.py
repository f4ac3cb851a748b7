"""A partition into experts: what it is asked to be, what it came out as, and the files that tell both.

    masks/<name>/params.pt  scene_boxes.pt  scene_boxes.txt (for people)  inputs.json (what it was made from)
    masks/<name>/<expert>/<stem>.pt
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.types import AnyArray, Array

PARAMS, BOXES, BOXES_TEXT, INPUTS = "params.pt", "scene_boxes.pt", "scene_boxes.txt", "inputs.json"
FORMAT_VERSION = 3
MOST_SAMPLES = 16384

CentroidMode = Literal["grid", "kmeans"]


def grid_of(numbers: Sequence[int]) -> tuple[int, int, int]:
    """Two numbers are tiles on the map (East, South); three begin with layers of height."""
    match tuple(numbers):
        case (east, south):
            return 1, east, south
        case (down, east, south):
            return down, east, south
    raise BadUsage(f"--grid_dim takes 2 or 3 numbers, not {len(numbers)}")


@dataclass(frozen=True)
class PartitionSettings:
    """What a user chooses. Metres end in _m, the rest is scene units."""

    grid_dim: tuple[int, int, int]  # tiles along X (down), Y (right), Z (back)
    centroid_mode: CentroidMode = "grid"
    cluster_2d: bool = False  # distances in Y, Z alone
    boundary_margin: float = 1.05
    ray_samples: int = 256
    center_pixels: bool = False  # rays through pixel centres, else through their upper left corners
    scene_scale: float = 1.1
    altitude_pad_m: float = 10.0
    box_margin_m: float = 0.0
    near_m: float | None = None
    far_m: float | None = None
    seed: int = 0  # of k-means

    def __post_init__(self) -> None:
        numbers = (self.boundary_margin, self.scene_scale, self.altitude_pad_m, self.box_margin_m,
                   self.near_m or 0.0, self.far_m or 0.0)
        for wrong, problem in (
            (min(self.grid_dim) < 1, "--grid_dim: every number must be 1 or more"),
            (self.cluster_2d and self.grid_dim[0] > 1,
             "--cluster_2d knows no layers of height: give --grid_dim two numbers, or a first one of 1"),
            (not all(map(math.isfinite, numbers)), "every length and factor must be a finite number"),
            (self.boundary_margin < 1, f"--boundary_margin is {self.boundary_margin:g}: 1 (no overlap) or more"),
            (not 2 <= self.ray_samples <= MOST_SAMPLES, f"--ray_samples is {self.ray_samples}: 2 to {MOST_SAMPLES}"),
            (self.scene_scale <= 0, f"--scene_scale is {self.scene_scale:g}: must be more than 0"),
            (min(self.altitude_pad_m, self.box_margin_m) < 0, "--altitude_pad and --box_margin are metres, 0 or more"),
            ((self.near_m or 0.0) < 0, f"--near is {self.near_m} m: 0 or more"),
            (self.far_m is not None and self.far_m <= (self.near_m or 0.0),
             f"--far is {self.far_m} m: must lie beyond --near"),
            (self.seed < 0, f"--seed is {self.seed}: 0 or more"),
        ):
            if wrong:
                raise BadUsage(problem)

    @property
    def n_experts(self) -> int:
        return math.prod(self.grid_dim)


@dataclass(frozen=True)
class Partition:
    """A partition as it lies on the disk. All lengths are scene units."""

    folder: Path
    centroids: Array  # [K, 3]
    boxes: tuple[Box, ...]  # one per expert
    global_box: Box
    counts: AnyArray  # [K] int64: samples routed to each expert, over all photos
    grid_dim: tuple[int, int, int]
    centroid_mode: str
    cluster_2d: bool
    boundary_margin: float
    ray_samples: int
    scene_scale: float
    near_far_override_m: tuple[float | None, float | None]
    warnings: tuple[str, ...] = ()  # untidiness that was understood

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def n_experts(self) -> int:
        return len(self.centroids)

    def mask_path(self, expert: int, stem: str) -> Path:
        return self.folder / str(expert) / f"{stem}.pt"

    def has_masks_of(self, stem: str) -> bool:
        return all(self.mask_path(expert, stem).exists() for expert in range(self.n_experts))


def params_dict(partition: Partition) -> dict[str, Any]:
    """What goes into params.pt."""
    return {"format_version": FORMAT_VERSION, "centroid_mode": partition.centroid_mode,
            "centroids": _float32(partition.centroids), "grid_dim": partition.grid_dim,
            "cluster_2d": partition.cluster_2d, "boundary_margin": partition.boundary_margin,
            "ray_samples": partition.ray_samples, "aabb_global": _box_tensor(partition.global_box),
            "scene_scale": partition.scene_scale, "near_far_override_m": partition.near_far_override_m}


def boxes_dict(partition: Partition) -> dict[str, Any]:
    """What goes into scene_boxes.pt."""
    return {"format_version": FORMAT_VERSION, "aabb_global": _box_tensor(partition.global_box),
            "mins": _float32(np.stack([box.low for box in partition.boxes])),
            "maxs": _float32(np.stack([box.high for box in partition.boxes])),
            "counts": torch.tensor(partition.counts, dtype=torch.int64),
            "centroids": _float32(partition.centroids), "grid_dim": partition.grid_dim,
            "cluster_2d": partition.cluster_2d, "boundary_margin": partition.boundary_margin,
            "ray_samples": partition.ray_samples, "scene_scale": partition.scene_scale}


def boxes_text(partition: Partition) -> str:
    lines = ["==== GLOBAL ====", f"global.min = {_rounded(partition.global_box.low)}",
             f"global.max = {_rounded(partition.global_box.high)}", "",
             "==== PER-EXPERT LOCAL BOXES (normalized DRB) ===="]
    lines += [f"[{expert:03d}] count={count}  centroid={_rounded(centroid)}  min={_rounded(box.low)}"
              f"  max={_rounded(box.high)}"
              for expert, (count, centroid, box)
              in enumerate(zip(partition.counts, partition.centroids, partition.boxes, strict=True))]
    return "\n".join(lines) + "\n"


def _float32(values: Array) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _box_tensor(box: Box) -> torch.Tensor:
    return _float32(np.stack([box.low, box.high]))


def _rounded(values: Array) -> list[float]:
    return [round(float(value), 6) + 0.0 for value in values]  # + 0.0: no negative zero
