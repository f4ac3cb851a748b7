"""Which places along rays are sampled, tested lattice point by lattice point: slow and readable, on any device.

A lattice point becomes a sample of every slot that is asked there (its box holds the place, and the routing gives it a
weight) and whose occupancy bit is set there. Decisions are taken in float64, so that every engine takes the same.
"""

import math

import torch
from torch import Tensor

from adaptive_nerf.engine import draws
from adaptive_nerf.engine.samples import BLOCK, Occupancy, Rays, Regions, Samples, Stepping

FLAT = 1e-12  # a component of a direction below it counts as this much
NEAREST = 1e-6  # a distance to a centroid, at least


def march(rays: Rays, regions: Regions, occupancy: Occupancy, stepping: Stepping, capacity: int,
          first: Tensor | None = None) -> Samples:
    """Samples of rays, in order of rays until the buffer is full. `first` [n_rays]: the lattice point to begin with."""
    enter, leave = interval(rays, regions.bounds)
    n_rays, step = len(rays.origins), stepping.step
    begin = torch.zeros(n_rays, dtype=torch.int64, device=enter.device) if first is None else first.long()
    shift = torch.full((n_rays,), 0.5, device=enter.device) if stepping.key is None else \
        draws.uniform(stepping.key, torch.arange(n_rays, device=enter.device))
    point = begin[:, None] + torch.arange(lattice(rays, regions, step), device=enter.device)  # [n_rays, K]
    t = enter[:, None] + (point + shift.double()[:, None]) * step
    places = rays.origins.double()[:, None] + t[..., None] * rays.directions.double()[:, None]
    inside = (t < leave[:, None]) & (begin >= 0)[:, None]
    share = routed(places, regions) * occupied(places, regions, occupancy) * inside[..., None]  # [n_rays, K, n_slots]
    hit = (share > 0).any(-1)
    nth = hit.cumsum(1)
    share = share * (nth <= stepping.most)[..., None]
    cut = hit & (nth == stepping.most + 1)
    following = torch.where(cut.any(1), point.gather(1, cut.int().argmax(1, keepdim=True))[:, 0], -1)
    return _compacted(rays, regions, (t, places, share * step), following, capacity)


def interval(rays: Rays, bounds: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Where rays are inside a box and between near and far; empty where the first is not the smaller. [n_rays] each"""
    origins, directions = rays.origins.double(), rays.directions.double()
    directions = torch.where(directions.abs() < FLAT, FLAT, directions)
    box = torch.tensor(bounds, dtype=torch.float64, device=origins.device)
    one, other = (box[:3] - origins) / directions, (box[3:] - origins) / directions
    enter = torch.minimum(one, other).amax(1).clamp(min=rays.near)
    return enter, torch.maximum(one, other).amin(1).clamp(max=rays.far)


def routed(places: Tensor, regions: Regions) -> Tensor:
    """How much each slot has to say at each place; 0 outside its box. [..., 3] -> [..., n_slots], of sum 1 or 0"""
    boxes = places.new_tensor(regions.boxes)
    inside = ((places[..., None, :] >= boxes[:, :3]) & (places[..., None, :] <= boxes[:, 3:])).all(-1)
    axes = list(regions.axes)
    gap = places[..., None, :][..., axes] - places.new_tensor(regions.centroids)[:, axes]
    distance = torch.where(inside, gap.square().sum(-1).sqrt().clamp(min=NEAREST), torch.inf)
    least = distance.amin(-1, keepdim=True)
    nearest = torch.nn.functional.one_hot(distance.argmin(-1), len(boxes)).to(places.dtype)
    if regions.margin == 1:
        return nearest * inside
    if regions.routing == "smooth":
        weight = ((regions.margin * least - distance) / distance).clamp(min=0)
    else:
        weight = (distance <= regions.margin * least) / distance
    weight = torch.where(inside, weight, 0.0)
    return weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(places.dtype).tiny)


def occupied(places: Tensor, regions: Regions, occupancy: Occupancy) -> Tensor:
    """Whether the bit of each slot is set; of no meaning outside its box. [..., 3] -> [..., n_slots] bool"""
    bits = []
    for box, blocks, first in zip(regions.boxes, occupancy.blocks, occupancy.first_words, strict=False):
        most = torch.tensor(blocks, device=places.device) * BLOCK - 1
        cell = ((places - places.new_tensor(box[:3])) * (1 / occupancy.cell)).floor().clamp(min=0)
        x, y, z = torch.minimum(cell.nan_to_num(0.0), most).long().unbind(-1)
        word = first + (x // BLOCK * blocks[1] + y // BLOCK) * blocks[2] + z // BLOCK
        bits.append(occupancy.words[word] >> (x % BLOCK * 16 + y % BLOCK * 4 + z % BLOCK) & 1)
    return torch.stack(bits, -1).bool()


def lattice(rays: Rays, regions: Regions, step: float) -> int:
    bounds = regions.bounds
    diagonal = math.dist(bounds[:3], bounds[3:])
    return max(1, math.ceil(min(diagonal, max(rays.far - rays.near, 0.0)) / step) + 1)


def _compacted(rays: Rays, regions: Regions, found: tuple[Tensor, Tensor, Tensor], following: Tensor,
               capacity: int) -> Samples:
    """Every place of positive delta becomes a row. t [n_rays, K], places [n_rays, K, 3], delta [n_rays, K, n_slots]"""
    t, places, delta = found
    n_rays, n_points, n_slots = delta.shape
    device = t.device
    ends = (delta > 0).sum((1, 2)).cumsum(0)
    dropped = ends > capacity
    mask = ((delta > 0) & ~dropped[:, None, None]).view(-1, n_slots)
    ends = torch.where(dropped, torch.where(dropped, 0, ends).amax() if n_rays else ends, ends)
    of_slot = mask.sum(0)
    row = torch.where(mask, of_slot.cumsum(0) - of_slot + mask.cumsum(0) - 1, capacity).flatten()
    along = torch.where(mask.flatten(), mask.flatten().cumsum(0) - 1, capacity)

    def rows(values: Tensor, unused: float, dtype: torch.dtype) -> Tensor:
        buffer = torch.full((capacity + 1, *values.shape[1:]), unused, dtype=dtype, device=device)
        buffer[row] = values.to(dtype)
        return buffer[:capacity]

    boxes = t.new_tensor([(*box[:3], side) for box, side in zip(regions.boxes, regions.sides, strict=True)])
    local = (places[:, :, None] - boxes[:, :3]) / boxes[:, 3:]
    order = torch.zeros(capacity + 1, dtype=torch.int32, device=device)
    order[along] = row.int()
    wide = (n_rays, n_points, n_slots)
    ray = torch.arange(n_rays, device=device)[:, None, None].expand(wide).flatten()
    slot = torch.arange(n_slots, device=device).expand(wide).flatten()
    offsets = torch.cat([ends.new_zeros(1), ends]).int()
    return Samples(rows(local.reshape(-1, 3), 0.5, torch.float32), rows(slot, 0, torch.int32),
                   rows(ray, 0, torch.int32), rows(t[..., None].expand(wide).flatten(), 0, torch.float32),
                   rows(delta.flatten(), 0, torch.float32), order[:capacity], offsets, dropped, following.int(),
                   offsets[-1:])
