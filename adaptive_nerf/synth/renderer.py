"""The mesh renderer: pictures, depth, opacity and normals of a world, by casting rays. A Renderer like any other.

Colour is the mean of four rays a pixel; depth and normal come from the ray through the pixel's centre, so that
they are exact and never a blend of two surfaces. near and far are distances along a ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame, local_frame
from adaptive_nerf.geometry.rays import Rays, camera_rays, pixel_centres
from adaptive_nerf.rendering.types import Frame, Output, Quality, RenderCancelled, never_cancelled
from adaptive_nerf.synth.light import SUN, hazed, shade, sky_colour
from adaptive_nerf.synth.noise import Floats
from adaptive_nerf.synth.palette import srgb_from_linear
from adaptive_nerf.synth.rays import Hits
from adaptive_nerf.synth.surfaces import Painter
from adaptive_nerf.synth.world import World

CHUNK_PIXELS = 8192
# A rotated grid: no two samples of a pixel share a row or a column, so near-level edges are smooth too.
SAMPLES = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])
SUPPORTED = frozenset({Output.RGB, Output.DEPTH, Output.OPACITY, Output.NORMAL})


class MeshRenderer:
    """Renders a world for cameras of any frame that `scene_frame` knows."""

    def __init__(self, world: World, scene_frame: SceneFrame | None = None, version: str = "mesh"):
        self._world = world
        self._scene_frame = scene_frame or local_frame()
        self._version = version
        layout = world.layout
        self._painter = Painter(world.mesh, world.noise, layout.land_use if layout else None,
                                layout.burns if layout else ())

    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        camera = camera if quality is Quality.FULL else camera.scaled(quality.scale)
        height, width = camera.height, camera.width
        pixels = pixel_centres(width, height)
        channels: dict[str, npt.NDArray] = {}
        if outputs & {Output.DEPTH, Output.NORMAL, Output.OPACITY}:
            channels |= {name: value.reshape(height, width, *value.shape[1:])
                         for name, value in self.surfaces(camera, pixels, cancelled).items()}
        if Output.RGB in outputs:
            linear = self.linear_colour(camera, pixels, cancelled)
            channels["rgb"] = srgb_from_linear(linear).reshape(height, width, 3)
        return Frame(camera, self._version, quality, **channels).only(outputs & SUPPORTED)

    def surfaces(self, camera: Camera, pixels: npt.NDArray[np.float64],
                 cancelled: Callable[[], bool] = never_cancelled) -> dict[str, npt.NDArray[np.float32]]:
        """Depth in metres along the optical axis, opacity and camera-space normal at pixel positions [n, 2]."""
        camera = camera.in_frame(FrameName.ENU, self._scene_frame)
        depth = np.full(len(pixels), np.nan, np.float32)
        normal = np.zeros((len(pixels), 3), np.float32)
        for chunk in chunks(len(pixels), CHUNK_PIXELS * len(SAMPLES), cancelled):
            rays = camera_rays(camera, pixels[chunk])
            hits = self._cast(camera, rays)
            depth[chunk.start + hits.ray] = hits.distance_m * rays.forward[hits.ray]
            normal[chunk.start + hits.ray] = hits.normal @ camera.c2w[:, :3]
        return {"depth_m": depth, "opacity": np.isfinite(depth).astype(np.float32), "normal": normal}

    def linear_colour(self, camera: Camera, pixels: npt.NDArray[np.float64],
                      cancelled: Callable[[], bool] = never_cancelled) -> Floats:
        """Linear colour, at a neutral exposure, of pixels with centres [n, 2]. [n, 3]"""
        camera = camera.in_frame(FrameName.ENU, self._scene_frame)
        colours = np.empty((len(pixels), 3), np.float32)
        for chunk in chunks(len(pixels), CHUNK_PIXELS, cancelled):
            spread = (pixels[chunk][:, None] + SAMPLES).reshape(-1, 2)
            light = self._light(camera, camera_rays(camera, spread)).reshape(-1, len(SAMPLES), 3)
            colours[chunk] = np.einsum("nsc->nc", light) * np.float32(1 / len(SAMPLES))
        return colours

    def _light(self, camera: Camera, rays: Rays) -> Floats:
        hits = self._cast(camera, rays)
        light = np.empty((len(rays), 3), np.float32)
        missed = np.ones(len(rays), bool)
        missed[hits.ray] = False
        light[missed] = sky_colour(rays.directions[missed])
        span = 1 / camera.fx if camera.is_orthographic else hits.distance_m * (1 / camera.fx)
        # Half a pixel is what one of its samples stands for.
        footprint = np.broadcast_to(np.asarray(span * 0.5, np.float32), len(hits))
        distance = hits.distance_m.astype(np.float32)
        normals = hits.normal.astype(np.float32)
        albedo = self._painter.albedo(hits, footprint)
        sunlit = hits.normal @ SUN.direction > 0
        facing = np.flatnonzero(sunlit)
        sunlit[facing] = ~self._world.caster.blocked(hits.point[facing], hits.normal[facing], SUN.direction)
        sky_seen = self._world.sky.seen(hits.point.astype(np.float32))
        light[hits.ray] = hazed(shade(albedo, normals, sunlit, sky_seen), distance)
        return light

    def _cast(self, camera: Camera, rays: Rays) -> Hits:
        return self._world.caster.nearest(rays.origins, rays.directions, camera.near_m, camera.far_m)


def chunks(count: int, size: int, cancelled: Callable[[], bool]) -> Iterator[slice]:
    """Pieces of the work; before each it is asked whether anyone still wants it."""
    for start in range(0, count, size):
        if cancelled():
            raise RenderCancelled
        yield slice(start, min(start + size, count))
