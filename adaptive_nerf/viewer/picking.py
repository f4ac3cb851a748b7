"""A place in the picture becomes a place in the world, by the depth that was rendered there and around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.geometry.types import AnyArray, Array
from adaptive_nerf.rendering.types import Frame
from adaptive_nerf.viewer.surroundings import depth_on_plane

STEEPEST = 0.1  # 1 / depth that changes by more of itself, from pixel to pixel, is another surface


@dataclass(frozen=True)
class Picked:
    enu_m: Array  # [3]
    distance_m: float  # along the optical axis
    grain_m: float  # what one pixel of the picture spans there
    survey_m: float | None = None  # it is the survey's ground, known so far from there; None: the model shows it


def pick(frame: Frame, u: float, v: float, scene_frame: SceneFrame) -> Picked | None:
    """What is seen at (u, v), 0 to 1 from the picture's upper left corner; None where nothing is."""
    if frame.depth_m is None:
        return None
    camera = frame.camera.in_frame(FrameName.ENU, scene_frame)
    pixel = pixel_at(camera, u, v)
    with np.errstate(divide="ignore"):
        depth_m = 1 / _inverse_depth(frame.depth_m, pixel)
    if not 0 < depth_m < np.inf:  # true for NaN
        return None
    grain_m = 1 / camera.fx if camera.is_orthographic else depth_m / camera.fx
    depth_m = depth_on_plane(frame, pixel, depth_m, grain_m)
    return Picked(point_at(camera, pixel, depth_m), depth_m, grain_m)


def pixel_at(camera: Camera, u: float, v: float) -> Array:
    """The pixel position [2] of (u, v), or of the picture's rim."""
    return np.array([min(max(u, 0.0), 1.0) * camera.width, min(max(v, 0.0), 1.0) * camera.height])


def point_at(camera: Camera, pixel: Array, depth_m: float) -> Array:
    """The point [3], in the camera's frame, at a pixel position [2] and a depth along the optical axis."""
    rays = camera_rays(camera, pixel[None])
    distance = depth_m / camera.metres_per_unit / rays.forward
    return rays.at(distance)[0]


def _inverse_depth(depth_m: AnyArray, pixel: Array) -> float:
    """1 / depth at a pixel position, on the surface that its pixel shows; NaN where there is none.

    1 / depth is linear over the picture of a plane. Its slopes are those towards the neighbours that differ least, so
    that at an edge none is taken from the other surface; on a plane this is exact.
    """
    height, width = depth_m.shape
    column, row = min(int(pixel[0]), width - 1), min(int(pixel[1]), height - 1)
    centre = 1 / float(depth_m[row, column])
    across = _slope(centre, depth_m[row, max(column - 1, 0):column + 2], column > 0)
    down = _slope(centre, depth_m[max(row - 1, 0):row + 2, column], row > 0)
    return centre + across * (pixel[0] - column - 0.5) + down * (pixel[1] - row - 0.5)


def _slope(centre: float, depths_m: AnyArray, has_before: bool) -> float:
    """The least change of 1 / depth to the pixel before or after; 0 where both are other surfaces."""
    inverse = 1 / depths_m.astype(np.float64)
    changes = ([centre - inverse[0]] if has_before else []) + list(inverse[1 + has_before:] - centre)
    usable = [float(change) for change in changes if abs(change) < STEEPEST * centre]  # false for NaN
    return min(usable, key=abs, default=0.0)
