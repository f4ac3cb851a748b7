"""Similarity maps of 3-D space: x -> scale * rotation @ x + translation. They form a group; all float64."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from adaptive_nerf.geometry.types import Array


@dataclass(frozen=True)
class Similarity:
    scale: float = 1.0
    rotation: Array = field(default_factory=lambda: np.eye(3))  # [3, 3], proper and orthonormal
    translation: Array = field(default_factory=lambda: np.zeros(3))  # [3]

    def points(self, points: Array) -> Array:  # [..., 3] -> [..., 3]
        return self.scale * (np.asarray(points, np.float64) @ self.rotation.T) + self.translation

    def directions(self, directions: Array) -> Array:  # [..., 3] -> [..., 3], lengths kept
        return np.asarray(directions, np.float64) @ self.rotation.T

    def pose(self, pose: Array) -> Array:
        """Carry a pose [..., 3, 4] (columns: three axes, position): axes stay unit vectors, the position moves."""
        pose = np.asarray(pose, np.float64)
        position = self.points(pose[..., :, 3])
        return np.concatenate([self.rotation @ pose[..., :, :3], position[..., None]], axis=-1)

    def after(self, first: Similarity) -> Similarity:
        """The map that applies `first`, then this one."""
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, self.points(first.translation))

    def inverse(self) -> Similarity:
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -(back @ self.translation) / self.scale)
