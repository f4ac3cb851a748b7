"""Sun, sky and what the surroundings take away from the sky. Linear light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from adaptive_nerf.synth.noise import Floats
from adaptive_nerf.synth.rays import Caster

SKY_CELL_M = 0.5
SKY_MARGIN_M = 45.0
BLURS_M = (0.9, 3.0)
ROOFS_M = 120.0  # above everything


@dataclass(frozen=True)
class Sun:
    azimuth_deg: float  # clockwise from North, where it stands
    elevation_deg: float
    colour: tuple[float, float, float]

    @property
    def direction(self) -> npt.NDArray[np.float64]:
        azimuth, elevation = np.radians([self.azimuth_deg, self.elevation_deg])
        return np.array([np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])


SUN = Sun(azimuth_deg=216.0, elevation_deg=46.0, colour=(2.75, 2.58, 2.26))
SKY = np.array([0.52, 0.62, 0.80], np.float32)
GROUND_GLOW = np.array([0.20, 0.18, 0.14], np.float32)
HAZE = np.array([0.70, 0.80, 0.92], np.float32)
ZENITH = np.array([0.24, 0.44, 0.80], np.float32)
HAZE_M, HAZE_FROM_M = 2600.0, 150.0
EXPOSURE = 0.42


@dataclass(frozen=True)
class SkyLight:
    """How high the surroundings stand: places below that see less of the sky. Smooth, the same from all sides."""

    heights: tuple[Floats, ...]  # [columns east * rows north] Up in metres, one for each blur
    low: tuple[float, float]
    shape: tuple[int, int]

    def seen(self, points: Floats) -> Floats:
        """The part of the sky that places [n, 3] see, 0 to 1."""
        column = ((points[:, 0] - self.low[0]) / SKY_CELL_M).astype(np.int32)
        row = ((points[:, 1] - self.low[1]) / SKY_CELL_M).astype(np.int32)
        inside = (column >= 0) & (column < self.shape[0]) & (row >= 0) & (row < self.shape[1])
        cell = np.where(inside, column * self.shape[1] + row, 0)
        part = np.ones(len(points), np.float32)
        for heights, depth_m, weight in zip(self.heights, (2.2, 7.0), (0.40, 0.55), strict=True):
            part *= 1 - weight * np.clip((heights[cell] - points[:, 2]) / np.float32(depth_m), 0, 1)
        return np.where(inside, part, np.float32(1))


def measure_sky(caster: Caster, size_m: tuple[float, float]) -> SkyLight:
    """Look down on everything and blur what is seen."""
    half = [extent / 2 + SKY_MARGIN_M for extent in size_m]
    x, y = (np.arange(-reach + SKY_CELL_M / 2, reach, SKY_CELL_M) for reach in half)
    places = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    origins = np.concatenate([places, np.full((len(places), 1), ROOFS_M)], axis=-1)
    hits = caster.nearest(origins, np.broadcast_to([0.0, 0.0, -1.0], origins.shape))
    top = np.full(len(places), -1e3)
    top[hits.ray] = hits.point[:, 2]
    top = top.reshape(len(x), len(y))
    blurred = tuple(gaussian_filter(top, blur / SKY_CELL_M, mode="nearest", truncate=4.0).astype(np.float32).ravel()
                    for blur in BLURS_M)
    return SkyLight(blurred, (-half[0], -half[1]), top.shape)


def shade(albedo: Floats, normals: Floats, sunlit: npt.NDArray[np.bool_], sky_seen: Floats) -> Floats:
    """Light that leaves matt surfaces. [n, 3]"""
    facing = np.maximum(normals @ SUN.direction.astype(np.float32), 0) * sunlit
    upward = np.float32(0.5) + np.float32(0.5) * normals[:, 2]
    light = facing[:, None] * np.asarray(SUN.colour, np.float32)
    light += (sky_seen * upward)[:, None] * SKY
    light += ((1 - upward) * (0.4 + 0.6 * sky_seen))[:, None] * GROUND_GLOW
    return albedo * light * np.float32(EXPOSURE)


def sky_colour(directions: npt.NDArray) -> Floats:
    """What a ray [n, 3] sees that hits nothing: pale at the horizon, blue above."""
    height = np.sqrt(np.clip(directions[:, 2], 0, 1)).astype(np.float32)[:, None]
    return HAZE * (1 - height) + ZENITH * height


def hazed(colour: Floats, distance_m: Floats) -> Floats:
    """The air between, put on in place: unnoticed across the town, soft at the horizon."""
    far = np.flatnonzero(distance_m > HAZE_FROM_M)
    clear = np.exp((HAZE_FROM_M - distance_m[far]) / np.float32(HAZE_M))[:, None]
    colour[far] = colour[far] * clear + HAZE * (1 - clear)
    return colour
