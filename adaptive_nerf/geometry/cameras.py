"""The camera that everything shares: perspective or orthographic, float64 pose in a named frame, near and far in m.

Pixel (x, y) has its centre at +0.5. Camera axes are RUB (x right, y up, z back): it looks along -z.
`fx, fy` are pixels (perspective) or pixels per metre (orthographic); `cx, cy` is the pixel of the optical axis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.types import Array

Projection = Literal["perspective", "orthographic"]


@dataclass(frozen=True)
class Camera:
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    c2w: Array  # [3, 4] float64: columns right, up, back, position, in `frame`
    frame: FrameName
    metres_per_unit: float = 1.0  # of `frame`
    projection: Projection = "perspective"
    near_m: float = 0.0
    far_m: float = float("inf")

    @property
    def is_orthographic(self) -> bool:
        return self.projection == "orthographic"

    def in_frame(self, target: FrameName, scene_frame: SceneFrame) -> Camera:
        """The same camera, its pose told in another frame."""
        pose = scene_frame.convert(self.frame, target).pose(self.c2w)
        return replace(self, c2w=pose, frame=target, metres_per_unit=scene_frame.units_to_metres(target))

    def scaled(self, factor: float) -> Camera:
        """The same view with width and height multiplied, rounded to whole pixels; intrinsics follow exactly."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def resized(self, width: int, height: int) -> Camera:
        across, down = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * across, cx=self.cx * across,
                       fy=self.fy * down, cy=self.cy * down)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Points [n, 3] of this camera's frame -> pixels [n, 2], depth in metres along the optical axis [n].

        Points behind a perspective camera have a depth <= 0, and pixels NaN.
        """
        local = (np.asarray(points, np.float64) - self.c2w[:, 3]) @ self.c2w[:, :3]  # right, up, back
        depth = -local[:, 2]
        if self.is_orthographic:
            divisor = np.full_like(depth, 1 / self.metres_per_unit)
        else:
            divisor = np.where(depth > 0, depth, np.nan)
        pixels = np.stack([self.cx + self.fx * local[:, 0] / divisor, self.cy - self.fy * local[:, 1] / divisor], -1)
        return pixels, depth * self.metres_per_unit


def look_at(position: Array, target: Array, up: Array) -> Array:
    """A pose [3, 4] (RUB axes) at `position` that looks at `target`, its image upright with respect to `up`."""
    position = np.asarray(position, np.float64)
    back = position - np.asarray(target, np.float64)
    back = back / np.linalg.norm(back)
    right = np.cross(up, back)
    if np.linalg.norm(right) < 1e-9:  # looking straight along `up`: any upright will do
        right = np.cross(np.roll(np.asarray(up, np.float64), 1), back)
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back, position], axis=-1)
