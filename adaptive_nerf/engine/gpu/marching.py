"""Marching on CUDA: once to count, once to fill the buffer. One program walks the lattice points of one ray in pieces.

Decisions are taken in float64 and without fused multiply-adds, so that they are those of reference_march. Nothing here
waits for the device.
"""

import functools
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaptive_nerf.engine import draws, reference_march
from adaptive_nerf.engine.samples import BLOCK, Occupancy, Rays, Regions, Samples, Stepping

POINTS = 128  # of one piece of a ray
WARPS = 4  # of one program
# Where numbers stand in `scene` [12], after the bounds, and the rows of `places` [17, slots].
NEAR, FAR, CELLS_A_UNIT, MARGIN, FLAT, NEAREST = (tl.constexpr(row) for row in range(6, 12))
LOW, HIGH, CENTROID, ASKED, BLOCKS, SIDE, FIRST_WORD = (tl.constexpr(row) for row in (0, 3, 6, 9, 12, 15, 16))
EDGE = tl.constexpr(BLOCK)
ONE, SMOOTH, INVERSE = (tl.constexpr(way) for way in range(3))  # ways to share a place out


@torch.no_grad()
def march(rays: Rays, regions: Regions, occupancy: Occupancy, stepping: Stepping, capacity: int,
          first: Tensor | None = None) -> Samples:
    n_rays, n_slots, device = len(rays.origins), len(regions.boxes), rays.origins.device
    on_device = {"dtype": torch.int32, "device": device}
    wide, n_points = triton.next_power_of_2(n_slots), reference_march.lattice(rays, regions, stepping.step)
    if stepping.key is None:
        shifts = torch.full((n_rays,), 0.5, device=device)
    else:
        shifts = draws.uniform(stepping.key, torch.arange(n_rays, device=device))
    first = torch.zeros(n_rays, **on_device) if first is None else first.contiguous()
    step = torch.full((1,), stepping.step, dtype=torch.float64, device=device)  # as an argument it would be a float32
    given = (rays.origins.contiguous(), rays.directions.contiguous(), shifts, first, step,
             *_tables(regions, occupancy.blocks, (rays.near, rays.far, 1 / occupancy.cell), device),
             occupancy.words.contiguous())
    routing = (ONE if regions.margin == 1 else SMOOTH if regions.routing == "smooth" else INVERSE).value
    how = {"ROUTING": routing, "SLOTS": wide, "POINTS": POINTS, "num_warps": WARPS, "enable_fp_fusion": False}

    counts, following = torch.empty(wide, n_rays, **on_device), torch.empty(n_rays, **on_device)
    _count[(n_rays,)](*given, counts, following, n_rays, n_points, min(stepping.most, n_points), **how)
    dropped = counts.sum(0).cumsum(0) > capacity
    counts = counts.masked_fill(dropped, 0)
    offsets = torch.nn.functional.pad(counts.sum(0).cumsum(0), (1, 0)).int()
    begins = (counts.flatten().cumsum(0).view_as(counts) - counts).int()  # [wide, n_rays]: the first row of each
    local = torch.full((capacity, 3), 0.5, device=device)
    slots, of_ray, order = (torch.zeros(capacity, **on_device) for _ in range(3))
    t, delta = (torch.zeros(capacity, device=device) for _ in range(2))
    _fill[(n_rays,)](*given, following, begins, offsets, local, slots, of_ray, t, delta, order, n_rays, n_points, **how)
    return Samples(local, slots, of_ray, t, delta, order, offsets, dropped, following, offsets[-1:])


@functools.lru_cache(64)
def _tables(regions: Regions, blocks: tuple[tuple[int, int, int], ...], others: tuple[float, float, float],
            device: torch.device) -> tuple[Tensor, Tensor]:
    """`scene` and `places`, in float64. Slots are filled up to a power of two with boxes that hold nothing."""
    scene = (*regions.bounds, *others, regions.margin, reference_march.FLAT, reference_march.NEAREST)
    asked = [float(axis in regions.axes) for axis in range(3)]
    columns, first_word = [], 0
    for box, centroid, side, size in zip(regions.boxes, regions.centroids, regions.sides, blocks, strict=True):
        columns.append([*box, *centroid, *asked, *size, side, first_word])
        first_word += math.prod(size)
    nothing = [math.inf] * 3 + [-math.inf] * 3 + [0.0] * 6 + [1.0] * 4 + [0.0]
    columns += [nothing] * (triton.next_power_of_2(len(columns)) - len(columns))
    return (torch.tensor(scene, dtype=torch.float64, device=device),
            torch.tensor(columns, dtype=torch.float64, device=device).t().contiguous())


@triton.jit
def _interval(ray, begin, origins, directions, step, scene, n_points):
    """Where the ray enters and leaves the bounds, and the lattice point at which to stop. NaN counts as no limit."""
    enter, leave = tl.load(scene + NEAR), tl.load(scene + FAR)
    flat = tl.load(scene + FLAT)
    for axis in tl.static_range(3):
        origin = tl.load(origins + 3 * ray + axis).to(tl.float64)
        direction = tl.load(directions + 3 * ray + axis).to(tl.float64)
        direction = tl.where(tl.abs(direction) < flat, flat, direction)
        one = (tl.load(scene + axis) - origin) / direction
        other = (tl.load(scene + 3 + axis) - origin) / direction
        enter = tl.maximum(enter, tl.minimum(one, other))
        leave = tl.minimum(leave, tl.maximum(one, other))
    reached = tl.where(enter < leave, (leave - enter) / tl.load(step) + 2, 0.0)  # one point more than there can be
    end = tl.minimum(reached, (begin + n_points).to(tl.float64)).to(tl.int32)
    return enter, leave, tl.where(begin < 0, begin, end)


@triton.jit
def _place(ray, axis, t, origins, directions):
    return tl.load(origins + 3 * ray + axis).to(tl.float64) + t * tl.load(directions + 3 * ray + axis).to(tl.float64)


@triton.jit
def _shares(inside, squared, scene, ROUTING: tl.constexpr, SLOTS: tl.constexpr):
    """How much each slot has to say at each place, from squares of distances to centroids. [POINTS, SLOTS]"""
    if SLOTS == 1:
        shares = inside.to(tl.float64)
    else:
        distance = tl.where(inside, tl.maximum(tl.sqrt(squared), tl.load(scene + NEAREST)), float("inf"))
        if ROUTING == ONE:
            nearest = tl.argmin(distance, 1)[:, None] == tl.arange(0, SLOTS)[None, :]
            shares = (nearest & inside).to(tl.float64)
        else:
            most = (tl.load(scene + MARGIN) * tl.min(distance, 1))[:, None]
            distance = tl.where(inside, distance, 1.0)
            weight = (most - distance) / distance if ROUTING == SMOOTH else (distance <= most).to(tl.float64) / distance
            weight = tl.where(inside, tl.maximum(weight, 0.0), 0.0)
            total = tl.sum(weight, 1)
            shares = weight / tl.where(total > 0, total, 1.0)[:, None]
    return shares


@triton.jit
def _found(ray, point, end, enter, leave, origins, directions, shifts, step, scene, places, words,
           ROUTING: tl.constexpr, SLOTS: tl.constexpr, POINTS: tl.constexpr):
    """t of lattice points [POINTS], and the share of each slot there, 0 where there is no sample [POINTS, SLOTS]."""
    t = enter + (point.to(tl.float64) + tl.load(shifts + ray).to(tl.float64)) * tl.load(step)
    slot = tl.arange(0, SLOTS)
    inside = ((point < end) & (t < leave))[:, None] & (slot >= 0)[None, :]
    squared = tl.zeros([POINTS, SLOTS], tl.float64)
    word, bit = tl.zeros([POINTS, SLOTS], tl.int32), tl.zeros([POINTS, SLOTS], tl.int32)
    for axis in tl.static_range(3):
        place = _place(ray, axis, t, origins, directions)[:, None]
        low = tl.load(places + (LOW + axis) * SLOTS + slot)[None, :]
        inside = inside & (place >= low) & (place <= tl.load(places + (HIGH + axis) * SLOTS + slot)[None, :])
        gap = place - tl.load(places + (CENTROID + axis) * SLOTS + slot)[None, :]
        gap *= tl.load(places + (ASKED + axis) * SLOTS + slot)[None, :]
        squared += gap * gap
        blocks = tl.load(places + (BLOCKS + axis) * SLOTS + slot)[None, :]
        cell = tl.maximum(tl.floor((place - low) * tl.load(scene + CELLS_A_UNIT)), 0.0)
        cell = tl.where(inside, tl.minimum(cell, blocks * EDGE - 1), 0.0).to(tl.int32)
        word = word * blocks.to(tl.int32) + cell // EDGE
        bit = bit * EDGE + cell % EDGE
    shares = _shares(inside, squared, scene, ROUTING, SLOTS)
    asked = shares > 0
    first_word = tl.load(places + FIRST_WORD * SLOTS + slot).to(tl.int32)[None, :]
    bits = tl.load(words + first_word + word, mask=asked, other=0)
    return t, tl.where(((bits >> bit.to(tl.int64)) & 1) != 0, shares, 0.0)


@triton.jit(do_not_specialize=["origins", "directions", "first", "n_rays", "n_points", "most"])
def _count(origins, directions, shifts, first, step, scene, places, words, counts, following, n_rays, n_points, most,
           ROUTING: tl.constexpr, SLOTS: tl.constexpr, POINTS: tl.constexpr):
    """Rows of each slot, and the lattice point that comes after the last of `most` with samples."""
    ray = tl.program_id(0)
    start = tl.load(first + ray).to(tl.int32)
    enter, leave, end = _interval(ray, start, origins, directions, step, scene, n_points)
    of_slot = tl.zeros([SLOTS], tl.int32)
    hits = tl.full([], 0, tl.int32)
    cut = tl.full([], -1, tl.int32)
    while (start < end) & (hits <= most):
        point = start + tl.arange(0, POINTS)
        _, shares = _found(ray, point, end, enter, leave, origins, directions, shifts, step, scene, places, words,
                           ROUTING, SLOTS, POINTS)
        hit = tl.max((shares > 0).to(tl.int32), 1)
        nth = hits + tl.cumsum(hit, 0)
        of_slot += tl.sum(((shares > 0) & (nth <= most)[:, None]).to(tl.int32), 0)
        cut = tl.maximum(cut, tl.max(tl.where((hit > 0) & (nth == most + 1), point, -1), 0))
        hits += tl.sum(hit, 0)
        start += POINTS
    tl.store(counts + tl.arange(0, SLOTS) * n_rays + ray, of_slot)
    tl.store(following + ray, cut)


@triton.jit(do_not_specialize=["origins", "directions", "first", "n_rays", "n_points"])
def _fill(origins, directions, shifts, first, step, scene, places, words, following, begins, offsets, local, slots,
          rays, ts, deltas, order, n_rays, n_points, ROUTING: tl.constexpr, SLOTS: tl.constexpr, POINTS: tl.constexpr):
    ray = tl.program_id(0)
    start = tl.load(first + ray).to(tl.int32)
    enter, leave, end = _interval(ray, start, origins, directions, step, scene, n_points)
    cut = tl.load(following + ray)
    end = tl.where(cut >= 0, cut, end)
    slot = tl.arange(0, SLOTS)
    of_slot = tl.load(begins + slot * n_rays + ray)  # the next row of each
    along, last = tl.load(offsets + ray), tl.load(offsets + ray + 1)
    while (start < end) & (along < last):
        point = start + tl.arange(0, POINTS)
        t, shares = _found(ray, point, end, enter, leave, origins, directions, shifts, step, scene, places, words,
                           ROUTING, SLOTS, POINTS)
        used = shares > 0
        ones = used.to(tl.int32)
        earlier = tl.cumsum(ones, 0) - ones
        row = of_slot[None, :] + earlier
        tl.store(order + along + tl.sum(earlier, 1)[:, None] + tl.cumsum(ones, 1) - ones, row, mask=used)
        for axis in tl.static_range(3):
            place = _place(ray, axis, t, origins, directions)[:, None]
            inner = (place - tl.load(places + (LOW + axis) * SLOTS + slot)[None, :]) \
                / tl.load(places + SIDE * SLOTS + slot)[None, :]
            tl.store(local + 3 * row + axis, inner.to(tl.float32), mask=used)
        tl.store(slots + row, tl.broadcast_to(slot[None, :], [POINTS, SLOTS]), mask=used)
        tl.store(rays + row, tl.zeros([POINTS, SLOTS], tl.int32) + ray, mask=used)
        tl.store(ts + row, tl.broadcast_to(t.to(tl.float32)[:, None], [POINTS, SLOTS]), mask=used)
        tl.store(deltas + row, (shares * tl.load(step)).to(tl.float32), mask=used)
        of_slot += tl.sum(ones, 0)
        along += tl.sum(tl.sum(ones, 0), 0)
        start += POINTS
