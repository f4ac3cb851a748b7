"""The lie of the land: a shallow uneven bowl that the town sits in, hills far out. Metres, ENU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptive_nerf.synth.randomness import generator

Floats = npt.NDArray[np.float64]
WAVES = 7


@dataclass(frozen=True)
class Terrain:
    seed: int
    size_m: tuple[float, float]  # the town's extent East and North, centred on the origin

    def height(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        """Up in metres at places of any shape."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        rng = generator(self.seed, "terrain")
        wavelength = rng.uniform(55, 190, WAVES)
        direction, phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
        height = np.zeros(np.broadcast(x, y).shape)
        for length, angle, start in zip(wavelength, direction, phase, strict=True):
            along = x * np.cos(angle) + y * np.sin(angle)
            height = height + length / 420 * np.sin(along * 2 * np.pi / length + start)
        outside = self._metres_outside(x, y)
        hills = 9 * np.sin(x / 310 + phase[0]) * np.sin(y / 270 + phase[1]) + 0.012 * outside
        # The rise around the town keeps a flood in it.
        return height + 2.5 * _smooth(outside / 60) + hills * _smooth(outside / 500)

    def _metres_outside(self, x: Floats, y: Floats) -> Floats:
        east, north = self.size_m
        return np.hypot(np.maximum(np.abs(x) - east / 2, 0), np.maximum(np.abs(y) - north / 2, 0))


@dataclass(frozen=True)
class Bend:
    """Bends the straight plan of the town into streets that curve a little: plan metres <-> world metres."""

    seed: int

    def to_world(self, plan: npt.ArrayLike) -> Floats:  # [..., 2] -> [..., 2]
        plan = np.asarray(plan, np.float64)
        return plan + self._offset(plan)

    def to_plan(self, world: npt.ArrayLike) -> Floats:  # [..., 2] -> [..., 2]
        world = np.asarray(world, np.float64)
        plan = world
        for _ in range(12):  # a contraction by 0.3 a round
            plan = world - self._offset(plan)
        return plan

    def heading(self, plan: npt.ArrayLike, heading_rad: float) -> float:
        """What a direction of the plan becomes in the world, at one place."""
        ahead = np.asarray(plan, np.float64) + 0.5 * np.array([np.cos(heading_rad), np.sin(heading_rad)])
        across = self.to_world(ahead) - self.to_world(plan)
        return float(np.arctan2(across[1], across[0]))

    def _offset(self, plan: Floats) -> Floats:
        start = generator(self.seed, "bend").uniform(0, 2 * np.pi, 4)
        x, y = plan[..., 0], plan[..., 1]
        east = 5.0 * np.sin(y / 38 + start[0]) + 2.0 * np.sin(y / 17 + start[1])
        north = 4.5 * np.sin(x / 44 + start[2]) + 1.5 * np.sin(x / 19 + start[3])
        return np.stack([east, north], axis=-1)


def _smooth(t: Floats) -> Floats:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
