"""The mixture of experts as a Renderer: pictures, depth, opacity, normals and expert ids for any camera."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adaptive_nerf.common.memory import ran_out_of_memory
from adaptive_nerf.engine.samples import Rays
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.models.appearance import as_taken, codes
from adaptive_nerf.models.field import Field, radiance
from adaptive_nerf.models.surface import met, normals_from_depth
from adaptive_nerf.rendering.types import Frame, Output, Quality, RenderCancelled, never_cancelled

CHUNK_POINTS = 262_144
EXPECTED_SAMPLES = 24  # a ray, before the first chunk has told
FEWEST_POINTS = 4096
FASTEST_GROWTH = 4  # of the rays of a chunk; the sky says little of the ground
log = logging.getLogger(__name__)


@dataclass
class Mixture:
    """`look`: the appearance of every picture, neutral unless a photo's own is wanted."""

    field: Field
    scene_frame: SceneFrame
    look: Tensor  # [width of the appearance]
    version: str
    chunk_points: int = CHUNK_POINTS
    memory_was_short: bool = False

    def only(self, experts: Collection[int]) -> Mixture:
        """The same, with nothing to see of the other experts."""
        slots = [slot for slot, expert in enumerate(self.field.experts) if expert in experts]
        return replace(self, field=replace(self.field, grids=self.field.grids.only(slots)))

    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        camera = camera if quality is Quality.FULL else camera.scaled(quality.scale)
        parts = _Parts(camera.height * camera.width, outputs)
        local = camera.in_frame(FrameName.SCENE, self.scene_frame)
        rays = camera_rays(local)
        origins, directions = (torch.tensor(np.ascontiguousarray(values), dtype=torch.float32,
                                            device=self.field.parameters.device)
                               for values in (rays.origins, rays.directions))
        units = local.metres_per_unit
        forward = torch.tensor(rays.forward * units, dtype=torch.float32, device=origins.device)
        done, per_ray = 0, float(EXPECTED_SAMPLES)
        while done < len(rays):
            if cancelled():
                raise RenderCancelled
            size = max(1, int(self.chunk_points / max(per_ray, 1.0)))
            here = slice(done, done + size)
            chunk = Rays(origins[here], directions[here], local.near_m / units, local.far_m / units)
            try:
                taken, samples = self._chunk(chunk, forward[here], parts, done)
            except (MemoryError, RuntimeError) as error:
                self._make_do_with_less(error)
                continue
            done += taken
            per_ray = max(1.0, per_ray / FASTEST_GROWTH, 1.2 * samples / taken)
        return parts.frame(camera, local, self.version, quality)

    @torch.no_grad()
    def _chunk(self, rays: Rays, forward_m: Tensor, parts: _Parts, start: int) -> tuple[int, int]:
        """Render what of the rays has room. Returns how many rays, and how many samples that were."""
        rays, samples = self.field.march_first(rays, self.chunk_points)
        n_rays = len(rays.origins)
        look = self.look.expand(n_rays, -1)
        kind = self.field.architecture.appearance
        seen = radiance(self.field, rays, samples, codes=codes(kind, look))
        values: dict[str, Tensor] = {"opacity": seen.opacity}
        if Output.RGB in parts.outputs:
            values["rgb"] = as_taken(kind, seen.colours, look).clamp(0, 1)
        if parts.outputs & {Output.DEPTH, Output.NORMAL, Output.EXPERT}:
            surfaces = met(self.field.engine, samples, seen.composited, self.field.step, len(self.field.experts))
            values["depth_m"] = surfaces.distance * forward_m[:n_rays]
            values["expert_id"] = torch.tensor([*self.field.experts, -1], device=forward_m.device)[surfaces.slot.long()]
        parts.put(start, values)
        return n_rays, int(samples.count)

    def _make_do_with_less(self, error: Exception) -> None:
        """Half the chunk from now on, where memory ran out."""
        if not ran_out_of_memory(error) or self.chunk_points <= FEWEST_POINTS:
            raise error
        self.memory_was_short = True
        self.chunk_points //= 2
        log.warning("memory ran out while rendering; going on with %d points at once", self.chunk_points)


class _Parts:
    """A picture while it is put together, in host memory."""

    def __init__(self, n_pixels: int, outputs: frozenset[Output]):
        self.outputs = outputs
        self.channels: dict[str, npt.NDArray] = {"opacity": np.zeros(n_pixels, np.float32)}
        if Output.RGB in outputs:
            self.channels["rgb"] = np.zeros((n_pixels, 3), np.float32)
        if outputs & {Output.DEPTH, Output.NORMAL}:
            self.channels["depth_m"] = np.full(n_pixels, np.nan, np.float32)
        if Output.EXPERT in outputs:
            self.channels["expert_id"] = np.full(n_pixels, -1, np.int16)

    def put(self, start: int, values: dict[str, Tensor]) -> None:
        for name, channel in self.channels.items():
            channel[start:start + len(values[name])] = values[name].cpu().numpy()

    def frame(self, camera: Camera, local: Camera, version: str, quality: Quality) -> Frame:
        shaped = {name: value.reshape(camera.height, camera.width, *value.shape[1:])
                  for name, value in self.channels.items()}
        if Output.NORMAL in self.outputs:
            shaped["normal"] = normals_from_depth(local, shaped["depth_m"])
        return Frame(camera, version, quality, **shaped).only(self.outputs)
