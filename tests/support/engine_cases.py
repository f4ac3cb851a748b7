"""Inputs for engines, and slow oracles in float64 that share nothing with them."""

from dataclasses import replace

import numpy as np
import torch

from adaptive_nerf.engine.samples import Occupancy, Rays, Samples


def ragged_samples(lengths, seed=0, dtype=torch.float32, slots=None, spare=0):
    """Rays of so many samples each; with several slots the rows are sorted by slot. `spare` unused rows at the end."""
    generator = torch.Generator().manual_seed(seed)
    n = sum(lengths)
    n_slots = slots or 2
    ray = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths, dtype=torch.int64))
    slot = torch.randint(0, n_slots, (n,), generator=generator)
    rows = torch.argsort(slot, stable=True)
    t = torch.rand(n, generator=generator, dtype=dtype) * 0.1 + 0.2
    offsets = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        t[begin:end] = t[begin:end].cumsum(0)
    delta = torch.rand(n, generator=generator, dtype=dtype) * 0.2 + 0.05
    local = torch.rand(n, 3, generator=generator, dtype=dtype)
    samples = Samples(local[rows], slot[rows].int(), ray[rows].int(), t[rows], delta[rows],
                      torch.argsort(rows).int(), offsets, torch.zeros(len(lengths), dtype=torch.bool),
                      torch.full((len(lengths),), -1, dtype=torch.int32), offsets[-1:])
    return with_spare_rows(samples, spare)


def with_spare_rows(samples, spare):
    grown = {name: torch.cat([value, value.new_zeros(spare, *value.shape[1:])])
             for name in ("local", "slots", "rays", "t", "delta", "order") for value in [getattr(samples, name)]}
    return replace(samples, **grown)


def loop_encode(tables, local, slots, grid):  # [n, levels, features]
    growth = (grid.finest / grid.base) ** (1 / (grid.levels - 1)) if grid.levels > 1 else 1.0
    found = np.zeros((len(local), grid.levels, grid.features))
    offset = 0
    for level in range(grid.levels):
        scale = float(np.float32(grid.base * growth**level - 1))
        resolution = int(np.ceil(scale)) + 1
        dense = -(-(resolution**3) // 8) * 8
        size = min(dense, 2**grid.log2_size)
        for point, (place, slot) in enumerate(zip(local, slots, strict=True)):
            position = place * scale + 0.5
            cell = np.floor(position).astype(int)
            for corner in np.ndindex(2, 2, 2):
                weight = np.prod(np.where(corner, position - cell, 1 - (position - cell)))
                x, y, z = (int(part) for part in cell + corner)
                index = x + resolution * (y + resolution * z) if dense <= size \
                    else x ^ (y * 2654435761 % 2**32) ^ (z * 805459861 % 2**32)
                found[point, level] += weight * tables[slot, offset + index % size]
        offset += size
    return found


def loop_composite(values, samples, stop=1e-4):
    n_rays = len(samples.offsets) - 1
    image, depth = np.zeros((n_rays, values.shape[1])), np.zeros(n_rays)
    median, distortion = np.full(n_rays, np.inf), np.zeros(n_rays)
    weights, relative = np.zeros(len(values)), np.zeros(len(values))
    for ray in range(n_rays):
        rows = samples.order[samples.offsets[ray]:samples.offsets[ray + 1]].numpy()
        left, t, delta = 1.0, samples.t.numpy(), samples.delta.numpy()
        for row in rows:
            if left <= stop:
                break
            weights[row] = left * (1 - np.exp(-values[row, 0] * delta[row]))
            image[ray] += weights[row] * np.append(1, values[row, 1:])
            depth[ray] += weights[row] * t[row]
            left -= weights[row]
            if left < 0.5 and np.isinf(median[ray]):
                median[ray] = t[row]
        distortion[ray] = sum(weights[i] * weights[j] * abs(t[i] - t[j]) for i in rows for j in rows) \
            + sum(weights[i] ** 2 * delta[i] for i in rows) / 3
        if len(rows):
            relative[rows] = weights[rows] / max(weights[rows].max(), 1e-10)
    return {"image": image, "depth": depth, "median": median, "distortion": distortion, "weights": weights,
            "relative": relative}


def random_occupancy(regions, cell, seed, airy=False):
    """Blocks that are full, empty (with `airy`, nearly all of them), or half full of random cells."""
    full = Occupancy.full(regions, cell)
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(-(2**62), 2**62, full.words.shape, generator=generator) * 2
    kind = torch.randint(0, 3, full.words.shape, generator=generator)
    if airy:
        kind = torch.where(torch.rand(full.words.shape, generator=generator) < 0.97, 0, kind)
    return replace(full, words=torch.where(kind == 0, 0, torch.where(kind == 1, -1, bits)))


def random_rays(n, seed):
    """From around, towards the middle of boxes near [0, 2] x [0, 1] x [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.rand(n, 3, generator=generator) * 4 - 1.5
    aims = torch.rand(n, 3, generator=generator) * torch.tensor([2.0, 1, 1])
    return Rays(origins, torch.nn.functional.normalize(aims - origins, dim=1), near=0.05)
