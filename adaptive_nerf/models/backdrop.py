"""What is behind the boxes: the sky, and the land outside, so that no speck in the air has to stand for them.

A small network of the direction and, for rays that go down, of the place where they meet the plane of the ground: drawn
together towards the horizon, as waves of four lengths. It is the colour head's kernel: [16 of the place, 16 of the
direction] -> colour.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from adaptive_nerf.engine.engines import Engine
from adaptive_nerf.engine.network import Network
from adaptive_nerf.engine.samples import Rays, Regions

FREQUENCIES = 4
SMALLEST = 1e-9


def behind(engine: Engine, weights: Tensor, shape: Network | None, rays: Rays, seen: tuple[Tensor, Regions]) -> Tensor:
    """Colours behind rays; `seen`: spherical harmonics of the directions [n, 16], and the regions. -> [n, 3]"""
    harmonics, regions = seen
    if shape is None:
        return harmonics.new_zeros(len(harmonics), 3)
    return engine.colour(weights, far_ground(rays, regions), harmonics, None, shape)


def far_ground(rays: Rays, regions: Regions) -> Tensor:
    """Where rays meet the plane of the floor, as 16 numbers; all 0 for rays that do not go down. -> [n, 16]"""
    low, high = _corners(regions, rays.origins.device)
    down = rays.directions[:, :1]
    t = (high[0] - rays.origins[:, :1]) / down.clamp(min=SMALLEST)
    place = rays.origins[:, 1:] + t * rays.directions[:, 1:]
    size = ((high - low)[1:] / 2).amax()
    angle = contracted((place - (low + high)[1:] / 2) / size) * (math.pi / 2)
    waves = torch.cat([wave(angle * 2**octave) for octave in range(FREQUENCIES) for wave in (torch.sin, torch.cos)], 1)
    return torch.where(down > 0, waves, 0.0)


def contracted(place: Tensor) -> Tensor:
    """Within 1 as it is, beyond drawn together so that infinity is at 2. [n, 2] -> [n, 2]"""
    distance = place.abs().amax(1, keepdim=True).clamp(min=1.0)
    return place / distance * (2 - 1 / distance)


def leaves_downwards(rays: Rays, regions: Regions) -> Tensor:
    """Whether rays leave the boxes through their floor; X of a scene is down. -> [n_rays] bool"""
    until = _walls(rays, regions)
    return (rays.directions[:, 0] > 0) & (until[:, 0] <= until[:, 1:].amin(1))


def leaves_at(rays: Rays, regions: Regions) -> Tensor:
    """Distances at which rays leave the boxes; 0 where they do not meet them. -> [n_rays]"""
    return _walls(rays, regions).amin(1).clamp(min=0)


@functools.lru_cache(64)
def _corners(regions: Regions, device: torch.device) -> Tensor:
    """Of the box around all; to bring them to a GPU takes longer than to compute with them there. -> [2, 3]"""
    return torch.tensor(regions.bounds, device=device).view(2, 3)


def _walls(rays: Rays, regions: Regions) -> Tensor:
    """Distances to the walls ahead. -> [n_rays, 3]"""
    low, high = _corners(regions, rays.origins.device)
    ahead = torch.where(rays.directions > 0, high, low)
    return torch.where(rays.directions == 0, torch.inf, (ahead - rays.origins) / rays.directions)
