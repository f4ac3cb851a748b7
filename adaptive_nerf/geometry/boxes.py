"""Axis-aligned boxes and the slab test. A ray that misses is not valid, and nothing here is ever NaN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.geometry.types import AnyArray, Array, BoolArray


@dataclass(frozen=True)
class Box:
    low: Array  # [3]
    high: Array  # [3]

    def contains(self, points: AnyArray) -> BoolArray:  # [..., 3] -> [...]
        return np.asarray(((points >= self.low) & (points <= self.high)).all(-1))

    def clamped_to(self, other: Box) -> Box:
        return Box(np.clip(self.low, other.low, other.high), np.clip(self.high, other.low, other.high))

    def grown(self, by: float) -> Box:
        return Box(self.low - by, self.high + by)


def slab_interval(origins: AnyArray, directions: AnyArray, box: Box) -> tuple[AnyArray, AnyArray, BoolArray]:
    """Where rays are inside the box: near [n], far [n] along the direction, and whether they are at all [n].

    near starts at 0 (nothing behind the origin counts). Where a ray misses, near = far = 0.
    The arithmetic is done in the precision of the rays given.
    """
    low, high = box.low.astype(origins.dtype), box.high.astype(origins.dtype)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        first, second = (low - origins) / directions, (high - origins) / directions  # [n, 3]
    enter, leave = np.minimum(first, second), np.maximum(first, second)
    parallel = directions == 0
    if parallel.any():
        # A ray parallel to a slab is in it for ever or never; 0 / 0 on its face would be NaN.
        inside = (origins >= low) & (origins <= high)
        enter = np.where(parallel, np.where(inside, -np.inf, np.inf), enter).astype(origins.dtype)
        leave = np.where(parallel, np.where(inside, np.inf, -np.inf), leave).astype(origins.dtype)
    near = np.maximum(enter.max(-1), 0)
    far = leave.min(-1)
    hits = (far > near) & np.isfinite(far)
    return np.where(hits, near, 0), np.where(hits, far, 0), hits


def global_box(frame: SceneFrame, scene_scale: float, altitude_pad_m: float) -> Box:
    """What a scene can hold, in scene units: X (down) from the altitude range, padded; Y and Z to +-scene_scale."""
    lowest_m, highest_m = frame.altitude_range_enu_m
    down = [(-altitude_m - frame.origin_drb_m[0]) / frame.metres_per_unit
            for altitude_m in (highest_m + altitude_pad_m, lowest_m - altitude_pad_m)]
    return Box(np.array([down[0], -scene_scale, -scene_scale]), np.array([down[1], scene_scale, scene_scale]))
