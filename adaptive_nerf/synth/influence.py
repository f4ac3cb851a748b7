"""Which views an event can have changed: a quick test that never misses one, so that few pixels are drawn twice.

A pixel can differ if its ray passes a box around a thing that came, went or changed, or if it sees a place whose
light such a thing alters: where its shadow falls, or where the sky is seen more or less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.rays import camera_rays, pixel_centres
from adaptive_nerf.synth.ground import water_mesh
from adaptive_nerf.synth.layout import Layout
from adaptive_nerf.synth.light import SKY_CELL_M, SUN, SkyLight
from adaptive_nerf.synth.mesh import BOX_SIDES, Material, box_corners, quads
from adaptive_nerf.synth.rays import Caster
from adaptive_nerf.synth.world import World, thing_mesh

SKY_DIFFERS_M = 0.05  # less than this in the blurred heights is less than a change that counts, see shots
GROWN_M = 0.3
LOWEST_M = 2.0  # a shadow falls on ground that may lie this much below the thing's lowest corner
SEEN_BESIDE = 5  # pixels: the samples of a pixel look a little past its centre
Bounds = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Influence:
    caster: Caster  # of the boxes
    plan: npt.NDArray[np.bool_]  # [columns east, rows north], cells of the sky light
    low: tuple[float, float]

    def pixels(self, camera: Camera, depth_m: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """The pixels of a camera that may differ, as indices in row order; `depth_m` [h * w] is what it sees now."""
        rays = camera_rays(camera, pixel_centres(camera.width, camera.height))
        views = np.zeros(len(rays), bool)
        distance_m = np.nan_to_num(depth_m, nan=1e6) / rays.forward
        entered = self.caster.nearest(rays.origins, rays.directions)
        # A box behind the surface that is seen stays unseen. (Drones fly above all boxes, never in one.)
        views[entered.ray] = entered.distance_m < distance_m[entered.ray] + GROWN_M
        places = rays.at(distance_m)
        cells = np.floor((places[:, :2] - self.low) / SKY_CELL_M)
        inside = np.flatnonzero(np.all((cells >= 0) & (cells < self.plan.shape), axis=-1))
        column, row = cells[inside].astype(int).T
        views[inside] |= self.plan[column, row]
        return np.flatnonzero(maximum_filter(views.reshape(camera.height, camera.width), SEEN_BESIDE))


def influence_between(before: World, after: World, layouts: tuple[Layout, Layout]) -> Influence:
    bounds = [thing_mesh(thing).bounds() for thing in set(layouts[0].things) ^ set(layouts[1].things)]
    for burn in layouts[1].burns:
        reach = burn.radius_m * 1.35
        middle, half = np.array([burn.x, burn.y, 0.0]), np.array([reach, reach, 20.0])
        bounds.append((middle - half, middle + half))
    if layouts[1].water_m is not None:
        bounds.append(water_mesh(layouts[1], layouts[1].water_m).bounds())
    faces = np.concatenate([box_corners(low - GROWN_M, high + GROWN_M)[BOX_SIDES] for low, high in bounds])
    plan = _sky_differs(before.sky, after.sky)
    for each in bounds:
        _paint_shadow(plan, before.sky.low, each)
    return Influence(Caster(quads(faces, Material.PLAIN, (0, 0, 0))), plan, before.sky.low)


def _sky_differs(before: SkyLight, after: SkyLight) -> npt.NDArray[np.bool_]:
    differs = [np.abs(first - second) > SKY_DIFFERS_M
               for first, second in zip(before.heights, after.heights, strict=True)]
    return np.logical_or.reduce(differs).reshape(before.shape)


def _paint_shadow(plan: npt.NDArray[np.bool_], corner: tuple[float, float], bounds: Bounds) -> None:
    """Mark where a box stands and where its shadow can fall."""
    low, high = bounds
    drop = SUN.direction[:2] / SUN.direction[2] * (high[2] - low[2] + LOWEST_M)
    first = np.minimum(low[:2], low[:2] - drop) - GROWN_M
    last = np.maximum(high[:2], high[:2] - drop) + GROWN_M
    start = np.clip(np.floor((first - corner) / SKY_CELL_M).astype(int), 0, plan.shape)
    stop = np.clip(np.ceil((last - corner) / SKY_CELL_M).astype(int) + 1, 0, plan.shape)
    plan[start[0]:stop[0], start[1]:stop[1]] = True
