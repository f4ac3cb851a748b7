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
    positions = np.stack([photo.c2w_scene[:, 3] for photo in scene.photos])
    positions = scene.frame.convert(FrameName.SCENE, FrameName.VIEWER).points(positions)
    lowest_m = scene.frame.altitude_range_enu_m[0]
    ground = float(scene.frame.convert(FrameName.ENU, FrameName.VIEWER).points(np.array([0.0, 0.0, lowest_m]))[2])
    low, high = positions.min(0), positions.max(0)
    low[2] = min(ground, low[2])
    least = np.array([1.0, 1.0, 1.0])
    return Overview(low, np.maximum(high, low + least), start_view(positions, low[2]))
