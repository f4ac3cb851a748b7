"""The town's mesh as the model of a prepared scene: truth in every channel, experts by the nearest centroid."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np

from adaptive_nerf.data.partition import Partition
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame, local_frame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.rendering.types import Frame, Output, Quality, never_cancelled
from adaptive_nerf.synth.palette import srgb_from_linear
from adaptive_nerf.synth.renderer import MeshRenderer
from adaptive_nerf.synth.town import REFERENCE
from adaptive_nerf.synth.world import World


class TownRenderer:
    """The scene has its own East, North, Up; the town has another: cameras go from one to the other by ECEF."""

    memory_was_short = False

    def __init__(self, world: World, frame: SceneFrame, partition: Partition | None, version: str = "town"):
        self._mesh = MeshRenderer(world, local_frame(REFERENCE), version)
        self._world, self._frame, self._partition, self._version = world, frame, partition, version
        self._experts_shown: Collection[int] | None = None

    def only(self, experts: Collection[int]) -> TownRenderer:
        """What others show is gone; a mesh has nothing behind it."""
        alone = TownRenderer(self._world, self._frame, self._partition, self._version)
        alone._experts_shown = experts
        return alone

    def _without_the_others(self, made: Frame, experts: Collection[int]) -> Frame:
        hidden = ~np.isin(self._experts(made), list(experts))
        depth_m = np.where(hidden, np.float32(np.nan), made.depth_m)
        opacity = None if made.opacity is None else np.where(hidden, np.float32(0), made.opacity)
        return replace(made, depth_m=depth_m, opacity=opacity)

    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        camera = camera if quality is Quality.FULL else camera.scaled(quality.scale)
        made = self._mesh.render(camera.in_frame(FrameName.ECEF, self._frame), outputs | {Output.DEPTH}, Quality.FULL,
                                 cancelled)
        made = replace(made, camera=camera, quality=quality)
        if self._experts_shown is not None:
            made = self._without_the_others(made, self._experts_shown)
        if Output.EXPERT in outputs and self._partition is not None:
            made = replace(made, expert_id=self._experts(made))
        return made.only(outputs)

    def points_at(self, camera: Camera, pixels: np.ndarray) -> np.ndarray:
        """What stands at pixel positions [n, 2], in the scene's ENU metres. [n, 3]"""
        depth_m = self._mesh.surfaces(camera.in_frame(FrameName.ECEF, self._frame), pixels)["depth_m"]
        rays = camera_rays(camera.in_frame(FrameName.ENU, self._frame), pixels)
        return rays.at(depth_m / rays.forward)

    def colours_at(self, camera: Camera, pixels: np.ndarray) -> np.ndarray:
        """sRGB bytes [n, 3] of pixels [n, 2]."""
        linear = self._mesh.linear_colour(camera.in_frame(FrameName.ECEF, self._frame), pixels)
        return np.rint(srgb_from_linear(linear) * 255).astype(np.uint8)

    def _experts(self, made: Frame) -> np.ndarray:
        rays = camera_rays(made.camera.in_frame(FrameName.SCENE, self._frame))
        depth = made.depth_m.ravel() / self._frame.metres_per_unit
        places = rays.at(np.nan_to_num(depth) / rays.forward)
        gaps = ((places[:, None, 1:] - self._partition.centroids[None, :, 1:]) ** 2).sum(-1)
        return np.where(np.isfinite(depth), gaps.argmin(-1), -1).reshape(made.depth_m.shape).astype(np.int16)
