"""Where there is something to see: which cell a place lies in, and what samples tell of their cells. The reference."""

from functools import lru_cache

import torch
from torch import Tensor

from adaptive_nerf.engine.samples import BLOCK, Occupancy, Regions, Samples

WORD = BLOCK**3  # cells


@torch.no_grad()
def observe(maxima: Tensor, samples: Samples, relative: Tensor, regions: Regions, occupancy: Occupancy,
            least: float) -> None:
    """Raise the maxima [n_words * 64] uint8, in 255ths, of the samples' cells. `relative` [n]: a sample's weight over the
    largest on its ray; what is not above `least` changes nothing."""
    count = int(samples.count)
    worth = (relative[:count] > least).nonzero()[:, 0]
    index = cells(samples.slots[worth], samples.local[worth], regions, occupancy)
    value = (relative[worth].clamp(max=1) * 255).round().to(torch.uint8)
    maxima.scatter_reduce_(0, index, value, "amax")


def cells(slots: Tensor, local: Tensor, regions: Regions, occupancy: Occupancy) -> Tensor:
    """Where the maxima of the cells of places lie: by slot, by word, by bit. [n], [n, 3] -> [n] int64"""
    slots = slots.long()
    first, blocks, cells_a_unit = _of_slots(regions, occupancy.blocks, occupancy.cell, local.device)
    of_slot = blocks[slots]
    cell = torch.minimum((local * cells_a_unit[slots][:, None]).long().clamp(min=0), of_slot * BLOCK - 1)
    block, inner = cell // BLOCK, cell % BLOCK
    word = first[slots] + (block[:, 0] * of_slot[:, 1] + block[:, 1]) * of_slot[:, 2] + block[:, 2]
    return word * WORD + inner[:, 0] * BLOCK * BLOCK + inner[:, 1] * BLOCK + inner[:, 2]


@lru_cache(maxsize=16)
def _of_slots(regions: Regions, blocks: tuple[tuple[int, int, int], ...], cell: float,
              device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """By slot: first word, blocks along each axis, cells in one unit of `local`."""
    sizes = torch.tensor(blocks, device=device)
    words = sizes.prod(1)
    return words.cumsum(0) - words, sizes, torch.tensor([side / cell for side in regions.sides], device=device)
