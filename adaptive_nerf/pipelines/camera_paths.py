"""Ready-made flights for a video: over the ground that the drones flew over, at their height, always upright.

A path is told as places, headings and pitches; all of it in ENU metres, and inside the bounds of the photos' cameras.
  turntable      once around, looking at the middle; its end joins its beginning
  spiral_in      inwards in one turn and a half; ends above the middle, looking straight down
  north_south    from the northern edge to the southern, looking ahead and ever more down; east_west likewise
  full_coverage  back and forth in lanes that together show all of the ground, looking straight down, North at the top
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import Array

FIELD_OF_VIEW_DEG = 60.0  # across the longer side of the picture
SPIRAL_TURNS = 1.5
LEAST_ASIDE = 0.35  # of the height: a flight along one line has no width, and a circle needs some
LANE_SHARE, STEP_SHARE = 0.7, 0.25  # of what a picture shows of the ground; the rest is overlap
ARC_POINTS = 48
LEAST_HEIGHT_M = 2.0


@dataclass(frozen=True)
class Flown:
    """Where the photos were taken, ENU metres."""

    west: float
    east: float
    south: float
    north: float
    ground_up_m: float
    flight_up_m: float  # typical

    @property
    def height_m(self) -> float:
        return max(LEAST_HEIGHT_M, self.flight_up_m - self.ground_up_m)

    @property
    def middle(self) -> Array:  # [2]
        return np.array([(self.west + self.east) / 2, (self.south + self.north) / 2])

    @property
    def reach(self) -> Array:  # [2] East and North, from the middle to the edge
        return np.array([(self.east - self.west) / 2, (self.north - self.south) / 2])

    @staticmethod
    def by(positions_enu: Array, ground_up_m: float) -> Flown:  # [n, 3]
        low, high = positions_enu.min(0), positions_enu.max(0)
        return Flown(float(low[0]), float(high[0]), float(low[1]), float(high[1]), ground_up_m,
                     float(np.median(positions_enu[:, 2])))


@dataclass(frozen=True)
class Path:
    ground_places: Array  # [n, 2] East and North
    headings_deg: Array  # [n] clockwise from North
    pitches_deg: Array  # [n] below the horizon; 90 is straight down


def preset_path(name: str, flown: Flown, frames: int, size: tuple[int, int]) -> list[Camera]:
    """One camera of that size (width, height) for every frame."""
    path = PRESETS[name](flown, frames, size)
    cameras = []
    for place, heading, pitch in zip(path.ground_places, path.headings_deg, path.pitches_deg, strict=True):
        position = np.array([place[0], place[1], flown.ground_up_m + flown.height_m])
        cameras.append(camera_of(upright_pose(position, heading, pitch), size))
    return cameras


def camera_of(c2w_enu: Array, size: tuple[int, int], field_of_view_deg: float = FIELD_OF_VIEW_DEG) -> Camera:
    width, height = size
    focal_px = max(size) / 2 / math.tan(math.radians(field_of_view_deg) / 2)
    return Camera(width, height, focal_px, focal_px, width / 2, height / 2, c2w_enu, FrameName.ENU)


def upright_pose(position: Array, heading_deg: float, pitch_deg: float) -> Array:
    """A pose [3, 4] (RUB axes) whose right side is level, also when it looks straight down."""
    heading, pitch = math.radians(heading_deg), math.radians(pitch_deg)
    right = np.array([math.cos(heading), -math.sin(heading), 0.0])
    back = -np.array([math.sin(heading) * math.cos(pitch), math.cos(heading) * math.cos(pitch), -math.sin(pitch)])
    return np.stack([right, np.cross(back, right), back, position], axis=-1)


def heading_and_pitch(forward: Array) -> tuple[float, float]:
    """Of a direction in ENU; straight down has North at the top."""
    east, north, up = forward
    level = math.hypot(east, north)
    heading = math.degrees(math.atan2(east, north)) if level > 1e-9 * abs(up) else 0.0
    return heading, math.degrees(math.atan2(-up, level))


def turntable(flown: Flown, frames: int, _: tuple[int, int]) -> Path:
    return _around(flown, np.arange(frames) / frames, np.ones(frames))


def spiral_in(flown: Flown, frames: int, _: tuple[int, int]) -> Path:
    done = np.linspace(0, 1, frames)
    return _around(flown, SPIRAL_TURNS * done, 1 - done)


def _around(flown: Flown, turns: Array, shares: Array) -> Path:
    """On ellipses about the middle, a share of the whole reach; begins in the South and looks at the middle."""
    reach = np.maximum(flown.reach, LEAST_ASIDE * flown.height_m)
    angle = 2 * np.pi * turns
    side = np.stack([np.sin(angle), -np.cos(angle)], -1) * reach
    headings = np.degrees(np.unwrap(np.arctan2(-side[:, 0], -side[:, 1])))
    pitches = np.degrees(np.arctan2(flown.height_m, np.linalg.norm(side, axis=1) * shares))
    return Path(flown.middle + side * shares[:, None], headings, pitches)


def north_south(flown: Flown, frames: int, _: tuple[int, int]) -> Path:
    return _across(flown, frames, np.array([0.0, -1.0]), heading_deg=180.0)


def east_west(flown: Flown, frames: int, _: tuple[int, int]) -> Path:
    return _across(flown, frames, np.array([-1.0, 0.0]), heading_deg=270.0)


def _across(flown: Flown, frames: int, ahead: Array, heading_deg: float) -> Path:
    """What it looks at never lies beyond the edge: there is no scene. At first it is as far ahead as below."""
    done = np.linspace(0, 1, frames)
    length_m = 2 * float(np.abs(ahead) @ flown.reach)
    lead_m = min(flown.height_m, length_m) * (1 - done)
    places = flown.middle + (done - 0.5)[:, None] * length_m * ahead
    return Path(places, np.full(frames, heading_deg), np.degrees(np.arctan2(flown.height_m, lead_m)))


def full_coverage(flown: Flown, frames: int, size: tuple[int, int]) -> Path:
    along = 0 if flown.reach[0] >= flown.reach[1] else 1
    places = np.empty((frames, 2))
    places[:, (along, 1 - along)] = _evenly(_lanes_over(flown, size), frames)
    return Path(flown.middle + places, np.zeros(frames), np.full(frames, 90.0))


def frames_to_cover(flown: Flown, size: tuple[int, int]) -> int:
    """So many frames full_coverage needs for its pictures to overlap; with fewer it flies too fast to show all."""
    return math.ceil(_travelled(_lanes_over(flown, size))[-1] / (STEP_SHARE * _shown_m(flown, size))) + 1


def _shown_m(flown: Flown, size: tuple[int, int]) -> float:
    """Of the ground, across the shorter side of a picture that looks straight down."""
    return 2 * flown.height_m * math.tan(math.radians(FIELD_OF_VIEW_DEG) / 2) * min(size) / max(size)


def _lanes_over(flown: Flown, size: tuple[int, int]) -> Array:
    longer, shorter = sorted(flown.reach.tolist(), reverse=True)
    return _lanes(longer, shorter, max(1, math.ceil(2 * shorter / (LANE_SHARE * _shown_m(flown, size)))))


def _lanes(reach_along: float, reach_across: float, lanes: int) -> Array:
    """Straight lanes joined by half ellipses that touch the edge. [n, 2] along and across, from the middle"""
    half_lane = reach_across / lanes
    turn = min(half_lane, reach_along) if lanes > 1 else 0.0
    points: list[Array] = []
    for lane in range(lanes):
        ahead = 1 if lane % 2 == 0 else -1
        middle = -reach_across + (2 * lane + 1) * half_lane
        begin = reach_along if lane == 0 else reach_along - turn  # nothing to turn into before the first lane
        end = reach_along if lane == lanes - 1 else reach_along - turn
        points += [np.array([[-ahead * begin, middle], [ahead * end, middle]])]
        if lane < lanes - 1:
            angle = np.linspace(-np.pi / 2, np.pi / 2, ARC_POINTS)
            points += [np.stack([ahead * (reach_along - turn + turn * np.cos(angle)),
                                 middle + half_lane + half_lane * np.sin(angle)], -1)]
    return np.concatenate(points)


def _evenly(corners: Array, count: int) -> Array:
    """Places at equal distances along a line through the corners. [n, 2] -> [count, 2]"""
    travelled = _travelled(corners)
    wanted = np.linspace(0, travelled[-1], count)
    return np.stack([np.interp(wanted, travelled, corners[:, axis]) for axis in (0, 1)], -1)


def _travelled(corners: Array) -> Array:  # [n, 2] -> [n] m since the first
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])


PRESETS: dict[str, Callable[[Flown, int, tuple[int, int]], Path]] = {
    "turntable": turntable, "spiral_in": spiral_in, "north_south": north_south, "east_west": east_west,
    "full_coverage": full_coverage}
