"""What a scene spans, in viewer units: where to begin to look, and where north and scale are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.viewer.viewpoints import View, start_view

ABOVE_LOWEST = 0.08  # of the height flown: so high over the lowest point the drawings lie, clear of most ground
ASIDE = 0.06  # of the width: so far outside of what was photographed
LEAST_STEEPNESS = 0.5  # down for one along: what flatter photos look at is no place but a stretch
STRAIGHT_DOWN_RAD = 1e-3  # off the vertical, so that north stays at the top


@dataclass(frozen=True)
class Overview:
    low: Array  # [3] of the cameras and the ground
    high: Array  # [3]
    start: View

    @property
    def width_units(self) -> float:
        return float(self.high[0] - self.low[0])

    @property
    def corner(self) -> Array:
        """South-west of what was photographed, a little above the ground."""
        rise = (self.high[2] - self.low[2]) * ABOVE_LOWEST
        return self.low + np.array([-ASIDE * self.width_units, -ASIDE * self.width_units, rise])

    @property
    def flown_units(self) -> float:
        """From the ground to the cameras."""
        return float(self.high[2] - self.low[2])

    def from_above(self) -> View:
        """The same place, looking straight down, north at the top."""
        distance = float(np.linalg.norm(self.start.position - self.start.look_at))
        offset = np.array([0.0, -np.sin(STRAIGHT_DOWN_RAD), np.cos(STRAIGHT_DOWN_RAD)]) * distance
        return View(self.start.look_at + offset, self.start.look_at, self.start.fov_rad)


def overview_of(scene: Scene) -> Overview:
    cameras = np.stack([photo.c2w_scene for photo in scene.photos])  # [n, 3, 4]
    to_viewer = scene.frame.convert(FrameName.SCENE, FrameName.VIEWER)
    positions, ahead = (to_viewer.points(points) for points in (cameras[..., 3], cameras[..., 3] - cameras[..., 2]))
    lowest_m = scene.frame.altitude_range_enu_m[0]
    ground = float(scene.frame.convert(FrameName.ENU, FrameName.VIEWER).points(np.array([0.0, 0.0, lowest_m]))[2])
    low, high = positions.min(0), positions.max(0)
    low[2] = min(ground, low[2])
    least = np.array([1.0, 1.0, 1.0])
    places = looked_at(positions, ahead - positions, low[2])
    return Overview(low, np.maximum(high, low + least), start_view(places, low[2]))


def looked_at(positions: Array, ahead: Array, ground_up: float) -> Array:
    """Where photos look on the ground, by their positions and directions [n, 3]; for one that looks far away or up,
    what is below it. [n, 2]"""
    height = positions[:, 2] - ground_up
    steepness = -ahead[:, 2] / np.maximum(np.linalg.norm(ahead[:, :2], axis=1), 1e-9)  # down for one along
    steep = steepness > LEAST_STEEPNESS
    reach = np.where(steep, height / np.where(steep, -ahead[:, 2], 1.0), 0.0)
    return positions[:, :2] + ahead[:, :2] * reach[:, None]
