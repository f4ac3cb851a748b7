"""A town of coloured blocks by formula, seen from above: known in full, and cheap enough for a bench of the engine.

Ground [0, 1] x [0, 1], z up, nothing above 0.25. One region, one slot.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from adaptive_nerf.engine import draws
from adaptive_nerf.engine.samples import BLOCK, Occupancy, Rays, Regions

REGIONS = Regions.of([(0.0, 0.0, 0.0, 1.0, 1.0, 0.25)])
PLOTS = 7  # along a side
GROUND = 0.02
BACKGROUND = 0.5


def heights(places: Tensor) -> Tensor:
    """Of what stands at a place: ground, or a block on its plot. [..., 3] -> [...]"""
    plot = (places[..., :2] * PLOTS).clamp(0, PLOTS - 1e-3)
    index, within = plot.floor(), plot - plot.floor()
    number = (index[..., 0] * PLOTS + index[..., 1]).long()
    built = ((within > 0.2) & (within < 0.8)).all(-1)
    return torch.where(built, 0.04 + 0.18 * draws.uniform(1, number), GROUND)


def solid(places: Tensor) -> Tensor:
    return places[..., 2] < heights(places)


def colours(places: Tensor) -> Tensor:
    """[..., 3] -> [..., 3]: a hue a plot, and stripes"""
    number = (places[..., 0].mul(PLOTS).long() * PLOTS + places[..., 1].mul(PLOTS).long()).clamp(0)
    base = torch.stack([draws.uniform(seed, number) for seed in (2, 3, 4)], -1) * 0.6 + 0.2
    stripes = ((places * 23).floor().sum(-1) % 2)[..., None] * 0.2
    return base + stripes - 0.1


def rays(n: int, seed: int, step: int = 0) -> Rays:
    """From a drone's height, looking down and a little aside."""
    index = torch.arange(n)
    a, b, c, d = (draws.uniform(draws.stream(seed, "rays", step, which), index) for which in range(4))
    origins = torch.stack([a * 0.9 + 0.05, b * 0.9 + 0.05, torch.full_like(a, 0.6)], 1)
    aims = torch.stack([(c - 0.5) * 0.7, (d - 0.5) * 0.7, torch.full_like(a, -1)], 1)
    return Rays(origins, torch.nn.functional.normalize(aims, dim=1))


def truth(seen: Rays, points: int = 400) -> Tensor:
    """The colour that each ray meets first, by small steps. -> [n_rays, 3]"""
    t = torch.linspace(0.34, 0.75, points)
    places = seen.origins[:, None] + t[:, None] * seen.directions[:, None]
    inside = (places[..., :2] > 0).all(-1) & (places[..., :2] < 1).all(-1) & (places[..., 2] > 0)
    met = solid(places) & inside
    first = met.int().argmax(1)
    hit = places[torch.arange(len(first)), first]
    return torch.where(met.any(1, keepdim=True), colours(hit), BACKGROUND)


@dataclass(frozen=True)
class Analytic:
    """The town as values of a field: density and colour at places of the region."""

    density: float = 3000.0

    def values(self, local: Tensor) -> Tensor:  # [n, 3] -> [n, 4]
        density = torch.where(solid(local), self.density, 0.0)[:, None]
        return torch.cat([density, colours(local)], 1)


def surface_occupancy(cell: float, spread: int = 1) -> Occupancy:
    """Bits where a surface is, grown by some cells: what training finds."""
    full = Occupancy.full(REGIONS, cell)
    size = [blocks * BLOCK for blocks in full.blocks[0]]
    axes = [(torch.arange(count) + 0.5) * cell for count in size]
    inside = solid(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)).float()[None, None]

    def grown(mask: Tensor, by: int) -> Tensor:
        return torch.nn.functional.max_pool3d(mask, 2 * by + 1, 1, by)

    shell = (grown(inside, spread) * grown(1 - inside, spread + 1))[0, 0].bool()
    x, y, z = full.blocks[0]
    parts = shell.view(x, BLOCK, y, BLOCK, z, BLOCK).permute(0, 2, 4, 1, 3, 5).reshape(-1, 64).long()
    words = (parts << torch.arange(64)).sum(1)
    return Occupancy(words, full.blocks, cell)
