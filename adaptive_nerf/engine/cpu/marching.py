"""Marching by the library: once to count, once to fill the buffer, so that where a row goes depends on no thread."""

import ctypes
import functools

import torch
from torch import Tensor

from adaptive_nerf.engine.cpu import checks, pool
from adaptive_nerf.engine.cpu.buffers import float32
from adaptive_nerf.engine.cpu.library import MarchArgs, Region, groups_of_rays, library
from adaptive_nerf.engine.samples import Occupancy, Rays, Regions, Samples, Stepping

HALL = 4  # words along an edge
MANY_RAYS = 512  # for which it is worth to look first where there is nothing at all


def march(rays: Rays, regions: Regions, occupancy: Occupancy, stepping: Stepping, capacity: int,
          first: Tensor | None = None) -> Samples:
    float32(origins=rays.origins, directions=rays.directions)
    n_rays, n_regions = len(rays.origins), len(regions.boxes)
    checks.sized("origins", rays.origins, n_rays, 3)
    checks.sized("directions", rays.directions, n_rays, 3)
    checks.plain("occupancy.words", occupancy.words, torch.int64, (occupancy.first_words[-1],))
    if first is not None:
        checks.sized("first", first, n_rays)
    origins, directions = rays.origins.contiguous(), rays.directions.contiguous()
    counts, offsets = torch.empty(n_rays, n_regions, dtype=torch.int32), torch.empty(n_rays + 1, dtype=torch.int32)
    dropped, following = torch.empty(n_rays, dtype=torch.bool), torch.empty(n_rays, dtype=torch.int32)
    first = None if first is None else first.to(torch.int32).contiguous()
    places = places_of(regions, occupancy.blocks)
    args = MarchArgs(n_rays=n_rays, origins=origins.data_ptr(), directions=directions.data_ptr(), near=rays.near,
                     far=rays.far, step=stepping.step, key=stepping.key or 0, stratified=stepping.key is not None,
                     most=stepping.most, regions=ctypes.addressof(places), n_regions=n_regions, bounds=regions.bounds,
                     margin=regions.margin, axes=tuple(int(axis in regions.axes) for axis in range(3)),
                     inverse=regions.routing == "inverse", words=occupancy.words.data_ptr(), cell=occupancy.cell,
                     cells_a_unit=1 / occupancy.cell, first=None if first is None else first.data_ptr(),
                     counts=counts.data_ptr(), offsets=offsets.data_ptr(), dropped=dropped.data_ptr(),
                     following=following.data_ptr(), capacity=capacity)
    items = groups_of_rays(n_rays)
    numbers, indices = torch.empty(5, capacity), torch.empty(3, capacity, dtype=torch.int32)
    # Last, so that what comes after the march takes its place.
    found, found_at = torch.empty(capacity, 3, dtype=torch.int32), torch.empty(items, dtype=torch.int64)
    args.found, args.room, args.found_at = found.data_ptr(), capacity, found_at.data_ptr()
    halls = torch.empty(_halls(places), dtype=torch.int64)
    if n_rays >= MANY_RAYS:
        args.halls = halls.data_ptr()
        pool.run(library().march_look_ahead, args, sum(place.halls[0] for place in places))
        args.next = 0
    pool.run(library().march_count, args, items)
    count = library().march_lay_out(ctypes.byref(args))
    numbers[:3, count:], numbers[3:, count:], indices[:, count:] = 0.5, 0, 0
    args.next, args.local, args.t, args.delta = 0, *(numbers[row].data_ptr() for row in (0, 3, 4))
    args.slots, args.rays, args.order = (row.data_ptr() for row in indices)
    pool.run(library().march_fill, args, items)
    return Samples(numbers[:3].t(), indices[0], indices[1], numbers[3], numbers[4], indices[2], offsets, dropped,
                   following, offsets[-1:])


@functools.lru_cache(maxsize=64)
def places_of(regions: Regions, blocks: tuple[tuple[int, int, int], ...]) -> ctypes.Array:
    found, first, hall = (Region * len(blocks))(), 0, 0
    for region, box, centroid, side, size in zip(found, regions.boxes, regions.centroids, regions.sides, blocks,
                                                 strict=True):
        region.low, region.high, region.centroid = tuple(box[:3]), tuple(box[3:]), tuple(centroid)
        region.side, region.blocks, region.first_word = side, size, first
        region.halls, region.first_hall = tuple(-(-words // HALL) for words in size), hall
        first += size[0] * size[1] * size[2]
        hall += region.halls[0] * region.halls[1] * region.halls[2]
    return found


def _halls(places: ctypes.Array) -> int:
    """How many there are in all."""
    last = places[len(places) - 1]
    return last.first_hall + last.halls[0] * last.halls[1] * last.halls[2]
