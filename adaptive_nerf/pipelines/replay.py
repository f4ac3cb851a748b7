"""Against forgetting: rays of old photos that lead to places of which the new photos have no news.

Where the new photos do have news, they rule, whatever the old ones showed. A place is where the model from before meets
a surface; a new photo sees it if nothing of the old world stands before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from adaptive_nerf.data.ray_store import RayStore
from adaptive_nerf.engine import draws
from adaptive_nerf.engine.samples import Rays
from adaptive_nerf.models.field import Field, radiance
from adaptive_nerf.models.mixture import CHUNK_POINTS
from adaptive_nerf.models.surface import met
from adaptive_nerf.pipelines.disagreement import FirstLook

CANDIDATES = 32_768
CHUNK = 4096
SLACK_M, SLACK_SHARE = 1.0, 0.02  # how much farther than the nearest surface still counts as seen
ROOM_A_RAY = 96
Floats = npt.NDArray[np.float64]


def replay_pool(field: Field, store: RayStore, old: Sequence[int], looks: Sequence[FirstLook], seed: int,
                metres_per_unit: float, chunk_points: int = CHUNK_POINTS) -> Tensor:
    """Numbers of pixels of old photos (places in the store) whose rays lead to where the new ones show no news."""
    everything = store.pool(old)
    if not len(everything):
        return everything
    index = torch.arange(min(CANDIDATES, len(everything)))
    pixels = everything[draws.below(draws.stream(seed, "replay"), index, len(everything))].long()
    seen = seen_by(surface_points(field, store, pixels, chunk_points), looks, metres_per_unit)
    return pixels[~torch.from_numpy(seen)]


@torch.no_grad()
def surface_points(field: Field, store: RayStore, pixels: Tensor, chunk_points: int = CHUNK_POINTS,
                   near: float = 0.0) -> Floats:
    """Where the rays of pixels meet a surface, in scene units, NaN where they meet none. [n] -> [n, 3]"""
    size = max(1, min(CHUNK, chunk_points // ROOM_A_RAY))
    found, done = [], 0
    while done < len(pixels):
        batch = store.rays(pixels[done:done + size]).to(field.parameters.device)
        rays, samples = field.march_first(Rays(batch.origins, batch.directions, near),
                                          min(chunk_points, size * ROOM_A_RAY))
        seen = radiance(field, rays, samples)
        t = met(field.engine, samples, seen.composited, field.step, len(field.experts)).distance
        found.append((rays.origins + t[:, None] * rays.directions).cpu().double())
        done += len(rays.origins)
    return torch.cat(found).numpy()


def seen_by(places: Floats, looks: Sequence[FirstLook], metres_per_unit: float) -> npt.NDArray[np.bool_]:
    """Whether any of the new photos sees each place, and news there. [n, 3] -> [n]"""
    seen = np.zeros(len(places), bool)
    for look in looks:
        camera, depth_m = look.frame.camera, look.frame.depth_m
        valid = look.photo.valid
        with np.errstate(invalid="ignore"):
            at, far_m = camera.project(places)
            column, row = np.floor(np.nan_to_num(at, nan=-1)).astype(int).T
            inside = (far_m > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
        picture = np.zeros(len(places), bool)
        across, down = (at[inside] * [valid.shape[1] / camera.width, valid.shape[0] / camera.height]).astype(int).T
        picture[inside] = valid[down, across]
        column, row = np.where(inside, column, 0), np.where(inside, row, 0)
        if look.news is not None:
            inside &= ndimage.binary_dilation(look.news)[row, column]
        nearest_m = np.nan_to_num(depth_m[row, column], nan=np.inf) if depth_m is not None else np.inf
        seen |= inside & picture & (far_m <= nearest_m * (1 + SLACK_SHARE) + SLACK_M)
    return seen
