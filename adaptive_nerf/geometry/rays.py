"""Rays: origins and unit directions in a camera's frame. Distances along them are in units of that frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.types import AnyArray, Array


@dataclass(frozen=True)
class Rays:
    origins: Array  # [n, 3]
    directions: Array  # [n, 3], unit length
    forward: Array  # [n], cosine between a ray and the optical axis: depth along the axis = distance * forward

    def at(self, distances: AnyArray) -> Array:  # [n] -> [n, 3]
        return self.origins + self.directions * distances[..., None]

    def __len__(self) -> int:
        return len(self.origins)


def pixel_centres(width: int, height: int) -> Array:
    """Pixel positions (x, y) of all centres, row by row. [height * width, 2]"""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def pixel_corners(width: int, height: int) -> Array:
    """Pixel positions (x, y) of all upper left corners, row by row. [height * width, 2]"""
    return pixel_centres(width, height) - 0.5


def camera_rays(camera: Camera, pixels: Array | None = None) -> Rays:
    """The rays through pixel positions [n, 2] (all pixel centres if none are given)."""
    if pixels is None:
        pixels = pixel_centres(camera.width, camera.height)
    right = (pixels[:, 0] - camera.cx) / camera.fx
    up = -(pixels[:, 1] - camera.cy) / camera.fy
    rotation, position = camera.c2w[:, :3], camera.c2w[:, 3]
    if camera.is_orthographic:  # fx, fy are pixels per metre: right and up are metres
        offset = np.stack([right, up, np.zeros_like(up)], axis=-1) / camera.metres_per_unit
        directions = np.broadcast_to(-rotation[:, 2], offset.shape)
        return Rays(position + offset @ rotation.T, directions, np.ones(len(pixels)))
    local = np.stack([right, up, -np.ones_like(up)], axis=-1)
    length = np.linalg.norm(local, axis=-1)
    directions = (local / length[:, None]) @ rotation.T
    return Rays(np.broadcast_to(position, directions.shape), directions, 1 / length)
