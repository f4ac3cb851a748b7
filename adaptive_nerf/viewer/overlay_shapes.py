"""Shapes that are drawn over the picture, as line segments [n, 2, 3]. Pure; lengths are viewer units unless named."""

from __future__ import annotations

import itertools
import math

import numpy as np

from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.types import Array

Colour = tuple[int, int, int]
TRAIN_COLOUR: Colour = (40, 110, 220)
VAL_COLOUR: Colour = (240, 150, 20)
FLIGHT_COLOURS: tuple[Colour, ...] = ((230, 50, 140), (250, 120, 190), (170, 20, 90), (200, 110, 170))
MOST_FRUSTA = 600  # more would only be a cloud, and slow


def split_colour(split: str, flights: list[str]) -> Colour:
    """Train and val have their own colours; later flights take theirs in the order of their names."""
    match split:
        case "train":
            return TRAIN_COLOUR
        case "val":
            return VAL_COLOUR
    return FLIGHT_COLOURS[flights.index(split) % len(FLIGHT_COLOURS)] if split in flights else (120, 120, 120)


def thinned(count: int, most: int = MOST_FRUSTA) -> list[int]:
    """Which of `count` photos are drawn: all, or an even choice."""
    if count <= most:
        return list(range(count))
    return [index * count // most for index in range(most)]


def box_edges(box: Box, scene_frame: SceneFrame) -> Array:
    """The 12 edges, in the VIEWER frame, of a box in scene units. [12, 2, 3]"""
    corners = np.array(list(itertools.product(*zip(box.low, box.high, strict=True))))  # [8, 3], x slowest
    pairs = [(a, b) for a, b in itertools.combinations(range(8), 2) if (a ^ b).bit_count() == 1]
    return scene_frame.convert(FrameName.SCENE, FrameName.VIEWER).points(corners)[np.array(pairs)]


def box_top_centre(box: Box, scene_frame: SceneFrame) -> Array:
    edges = box_edges(box, scene_frame).reshape(-1, 3)
    return np.array([*edges[:, :2].mean(0), edges[:, 2].max()])


def round_length_m(most_m: float) -> float:
    """The greatest of 1, 2, 5, 10, 20, 50, ... that is no longer than `most_m`."""
    power = 10.0 ** math.floor(math.log10(max(most_m, 1e-6)))
    return next(step * power for step in (5, 2, 1) if step * power <= most_m * (1 + 1e-9))


def scale_bar(corner: Array, bar_units: float, tick_units: float) -> Array:
    """Along East from `corner`, with a tick at either end. [3, 2, 3]"""
    east, up = np.array([bar_units, 0.0, 0.0]), np.array([0.0, 0.0, tick_units])
    return np.stack([np.stack(ends) for ends in
                     ((corner, corner + east), (corner, corner + up), (corner + east, corner + east + up))])


def north_arrow(foot: Array, size: float) -> Array:
    """Lying flat, pointing North. [3, 2, 3]"""
    tip = foot + np.array([0.0, size, 0.0])
    barbs = [tip + np.array([side * 0.22 * size, -0.34 * size, 0.0]) for side in (-1, 1)]
    return np.stack([np.stack(ends) for ends in ((foot, tip), *((tip, barb) for barb in barbs))])


def window_span_m(fov_rad: float, distance_m: float) -> float:
    """What the window's height spans at a distance along the optical axis."""
    return 2 * math.tan(fov_rad / 2) * distance_m
