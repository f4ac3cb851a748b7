"""What a rendered ray met: how far away, which expert, which way the surface looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from adaptive_nerf.engine.engines import Engine
from adaptive_nerf.engine.samples import Composited, Samples, Surfaces
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.rays import camera_rays

Floats = npt.NDArray[np.float32]
WINDOW_STEPS = 3.0  # around the median, in steps: what lies there is the surface
SOLID = 0.5  # opacity from which on there is a surface


def met(engine: Engine, samples: Samples, composited: Composited, step: float, n_slots: int) -> Surfaces:
    """The surfaces that rays meet; whose a ray is that passes through mostly air, nobody can tell."""
    found: Surfaces = engine.surfaces(samples, composited, WINDOW_STEPS * step, n_slots)
    return replace(found, slot=torch.where(composited.image[:, 0] >= SOLID, found.slot, -1))


def normals_from_depth(camera: Camera, depth_m: Floats) -> Floats:
    """Of the surface through neighbouring pixels, in camera axes, unit or 0 where nothing. [h, w] -> [h, w, 3]

    Along each axis the neighbour that is nearer in depth is taken, so that an edge is not sloped away.
    """
    rays = camera_rays(camera)
    distance = depth_m.ravel() / rays.forward / camera.metres_per_unit
    points = ((rays.at(distance) - camera.c2w[:, 3]) @ camera.c2w[:, :3]).reshape(*depth_m.shape, 3)
    across = _difference(points, depth_m, 1)
    down = _difference(points, depth_m, 0)
    normal = np.cross(down, across)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        normal = normal / length
    normal[~np.isfinite(normal).all(-1)] = 0
    return normal.astype(np.float32)


def _difference(points: npt.NDArray[np.float64], depth_m: Floats, axis: int) -> npt.NDArray[np.float64]:
    """Of each point to the neighbour with the smaller step in depth."""
    gap = np.full_like(points, np.nan)
    jump = np.full(depth_m.shape, np.inf)
    if depth_m.shape[axis] < 2:
        return gap
    low, high = [slice(None)] * 2, [slice(None)] * 2
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    step, steepness = points[tuple(high)] - points[tuple(low)], np.abs(np.diff(depth_m, axis=axis))
    steepness = np.where(np.isnan(steepness), np.inf, steepness)
    gap[tuple(low)], jump[tuple(low)] = step, steepness
    better = steepness < jump[tuple(high)]
    gap[tuple(high)] = np.where(better[..., None], step, gap[tuple(high)])
    return gap
