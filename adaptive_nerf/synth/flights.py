"""Where a drone flies and looks: camera poses in ENU metres, like those of a careful pilot in light wind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.synth.randomness import generator

Pattern = Literal["grid", "orbit", "mixed"]
FIELD_OF_VIEW_DEG = 72.0  # across the picture, as common drones have
ORBIT_PART = 3  # one photo in three of a mixed flight looks in from the side
GRID_TILT = 0.16  # metres ahead per metre down: 9 degrees off nadir
UP = np.array([0.0, 0.0, 1.0])
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Flight:
    pattern: Pattern
    photos: int
    resolution: tuple[int, int]
    altitude_m: float


def fly(flight: Flight, size_m: tuple[float, float], seed: int, purpose: str) -> list[Camera]:
    """The cameras of all photos in the order they are taken. `purpose` makes a second flight differ."""
    orbit = {"grid": 0, "orbit": flight.photos, "mixed": flight.photos // ORBIT_PART}[flight.pattern]
    legs = [*_grid(flight, flight.photos - orbit, size_m), *_orbit(flight, orbit, size_m)]
    cameras = []
    for number, (position, target, upright) in enumerate(legs):
        rng = generator(seed, f"wind {purpose}", number)
        shaken = position + rng.normal(0, (0.7, 0.7, 0.6))
        aimed = target + rng.normal(0, 1.6, 3) * (1, 1, 0)
        cameras.append(camera_at(look_at(shaken, aimed, upright), flight.resolution))
    return cameras


def camera_at(c2w: Array, resolution: tuple[int, int]) -> Camera:
    width, height = resolution
    focal = width / 2 / np.tan(np.radians(FIELD_OF_VIEW_DEG / 2))
    return Camera(width, height, float(focal), float(focal), width / 2, height / 2, c2w, FrameName.ENU)


def _grid(flight: Flight, count: int, size_m: tuple[float, float]) -> list[tuple[Array, Array, Array]]:
    """Back and forth over the town; the camera tilts a little ahead, the drone turns at the end of each line."""
    if count == 0:
        return []
    reach = np.asarray(size_m) / 2 - np.minimum(12.0, np.asarray(size_m) / 8)
    aspect = flight.resolution[1] / flight.resolution[0]
    lines = max(1, min(count, round(float(np.sqrt(count * reach[1] / reach[0] * aspect)))))
    shares = [count // lines + (line < count % lines) for line in range(lines)]
    legs = []
    for line, share in enumerate(shares):
        north = 0.0 if lines == 1 else -reach[1] + 2 * reach[1] * line / (lines - 1)
        ahead = 1 if line % 2 == 0 else -1
        for place in range(share):
            east = ahead * (0.0 if share == 1 else -reach[0] + 2 * reach[0] * place / (share - 1))
            position = np.array([east, north, flight.altitude_m])
            target = np.array([east + ahead * GRID_TILT * flight.altitude_m, north, 0.0])
            # The picture's upper edge is where the drone heads.
            legs.append((position, target, np.array([float(ahead), 0.0, 0.0])))
    return legs


def _orbit(flight: Flight, count: int, size_m: tuple[float, float]) -> list[tuple[Array, Array, Array]]:
    """Around the town, looking in; each photo aims at a place between the centre and its own side."""
    radii = np.maximum(np.asarray(size_m) * 0.5, flight.altitude_m * 0.75)
    legs = []
    for number in range(count):
        angle = 2 * np.pi * (number + 0.25) / count
        side = np.array([np.cos(angle) * radii[0], np.sin(angle) * radii[1]])
        aim = side * (0.05, 0.2)[number % 2]
        legs.append((np.array([*side, flight.altitude_m]), np.array([*aim, 2.0]), UP))
    return legs
