"""A checkpoint as a Renderer: of a large one it reads only the experts that a camera can see, and keeps those of late.

Outside its box an expert has no say, so leaving out those whose boxes lie outside of the view changes no pixel.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from adaptive_nerf.geometry.boxes import Box, slab_interval
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.models.checkpoint import Checkpoint
from adaptive_nerf.models.mixture import CHUNK_POINTS, Mixture
from adaptive_nerf.models.model import Model
from adaptive_nerf.rendering.types import Frame, Output, Quality, never_cancelled

MOST_EXPERTS = 16  # kept in memory, unless one view needs more
PROBES_ALONG_A_SIDE = 48
HALF_DIAGONAL = 0.75  # of a mesh of the lattice, and a little more


def _as_it_is(model: Model) -> Model:
    return model


@dataclass
class City:
    """Several threads may ask for pictures at once."""

    checkpoint: Checkpoint
    device: torch.device | str = "cpu"
    chunk_points: int = CHUNK_POINTS
    most_experts: int = MOST_EXPERTS
    as_seen: Callable[[Model], Model] = _as_it_is
    _recent: list[int] = field(default_factory=list)  # expert ids, the latest last
    _model: Model | None = None
    _mixture: Mixture | None = None
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        return self.mixture_for(camera).render(camera, outputs, quality, cancelled)

    @property
    def memory_was_short(self) -> bool:
        return self._mixture is not None and self._mixture.memory_was_short

    def mixture_for(self, camera: Camera) -> Mixture:
        experts = self.checkpoint.experts
        # A few at once: the files of a training at work do not lie there for long.
        needed = experts if len(experts) <= self.most_experts else experts_in_view(camera, self.checkpoint)
        with self._loading:
            held = self._model.field.experts if self._model else ()
            self._recent = [expert for expert in self._recent if expert not in needed] + list(needed)
            if self._model is None or self._mixture is None or not set(needed) <= set(held):
                kept = self._recent[-max(self.most_experts, len(needed)):] or self.checkpoint.experts[:1]
                self._model = self.checkpoint.load(sorted(kept), self.device, self._model)
                fresh = self.as_seen(self._model).mixture(self.checkpoint.version, self.chunk_points)
                self._mixture = fresh if self._mixture is None else replace(self._mixture, field=fresh.field)
            return self._mixture


def experts_in_view(camera: Camera, checkpoint: Checkpoint) -> tuple[int, ...]:
    """Whose boxes are met by the camera's rays, tried on a lattice of pixels and with boxes a little larger for it."""
    frame: SceneFrame = checkpoint.scene_frame
    local = camera.in_frame(FrameName.SCENE, frame)
    columns, rows = (np.linspace(0, size, PROBES_ALONG_A_SIDE) for size in (camera.width, camera.height))
    rays = camera_rays(local, np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2))
    mesh = max(camera.width / camera.fx, camera.height / camera.fy) / (PROBES_ALONG_A_SIDE - 1)
    found = []
    for expert, box in zip(checkpoint.experts, checkpoint.manifest.regions.boxes, strict=True):
        low, high = np.array(box[:3]), np.array(box[3:])
        reach = np.linalg.norm(np.maximum(np.abs(low - local.c2w[:, 3]), np.abs(high - local.c2w[:, 3])))
        slack = HALF_DIAGONAL * mesh * (1 / local.metres_per_unit if camera.is_orthographic else reach)
        if slab_interval(rays.origins, rays.directions, Box(low, high).grown(float(slack)))[2].any():
            found.append(expert)
    return tuple(found)
