"""Where there is something to see: which cell a place lies in, and what samples tell of their cells. The reference."""

from collections.abc import Collection
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from adaptive_nerf.engine.samples import BLOCK, Occupancy, Regions, Samples

WORD = BLOCK**3  # cells
FEW = 0.1  # share of cells up to which to look for them is faster than to take them all
# Whole words; on a CPU what was read is still in the cache when it is written, on a GPU many are as soon done as few.
CELLS_AT_ONCE, ON_A_GPU = 1 << 20, 1 << 26


@torch.no_grad()
def observe(maxima: Tensor, samples: Samples, relative: Tensor, regions: Regions, occupancy: Occupancy,
            least: float) -> None:
    """Raise the maxima [n_words * 64] uint8, in 255ths, of the samples' cells. `relative` [n]: a sample's weight over
    the largest on its ray; what is not above `least` changes nothing."""
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


@torch.no_grad()
def rebuild(maxima: Tensor, regions: Regions, occupancy: Occupancy, above: tuple[float, float], floor: Tensor | None,
            slots: Collection[int]) -> None:
    """Set the bits of some slots anew: of cells whose maximum is above the threshold, and of their six neighbours; all
    these slots' maxima then decay. `above`: threshold, decay. Bits of the floor [n_words] stay set."""
    at_once = CELLS_AT_ONCE if maxima.device.type == "cpu" else ON_A_GPU
    for slot in slots:
        first, last = occupancy.first_words[slot:slot + 2]
        parts = maxima[first * WORD:last * WORD].split(at_once)
        words = torch.cat([_above_and_faded(part, *above) for part in parts])
        grown_words = grown(words.view(occupancy.blocks[slot])).flatten()
        occupancy.words[first:last] = grown_words if floor is None else grown_words | floor[first:last]


def _above_and_faded(maxima: Tensor, threshold: float, decay: float) -> Tensor:
    """Bits of the maxima [n] above the threshold -> [n / 64] words; the maxima then decay, rounded down.

    Eight cells at a time; only those in which something is, once there are few: most of the air is empty before long.
    """
    eights, as_one = maxima.view(-1, 8), maxima.view(torch.int64)
    if int(as_one.count_nonzero()) > FEW * len(as_one):
        found = packed(eights > int(threshold * 255))
        maxima.copy_(maxima.float().mul_(decay))
        return found.view(torch.int64)
    live = as_one.nonzero()[:, 0]
    values = eights[live]
    found = torch.zeros(len(eights), dtype=torch.uint8, device=maxima.device)
    found[live] = packed(values > int(threshold * 255))
    eights[live] = (values * decay).to(torch.uint8)
    return found.view(torch.int64)


def packed(bits: Tensor) -> Tensor:
    """The lowest bit first. [n, 8] bool -> [n] uint8"""
    if bits.device.type == "cpu":
        return torch.from_numpy(np.packbits(bits.numpy().reshape(-1), bitorder="little"))
    return (bits.to(torch.uint8) << torch.arange(8, dtype=torch.uint8, device=bits.device)).sum(1, dtype=torch.uint8)


def grown(words: Tensor) -> Tensor:
    """Every set cell, and its six neighbours. [bx, by, bz] words of 4 x 4 x 4 cells -> the same"""
    found = words.clone()
    for axis, cells in enumerate((BLOCK * BLOCK, BLOCK, 1)):
        first = _layer(cells, 0)  # bits of the cells with the lowest place along the axis
        last = _layer(cells, BLOCK - 1)
        far = (BLOCK - 1) * cells
        found |= (words << cells) & ~first | _shifted(words, cells) & ~last
        ahead, behind = torch.zeros_like(words), torch.zeros_like(words)
        size = words.shape[axis]
        behind.narrow(axis, 1, size - 1).copy_(words.narrow(axis, 0, size - 1))
        ahead.narrow(axis, 0, size - 1).copy_(words.narrow(axis, 1, size - 1))
        found |= _shifted(behind, far) & first | (ahead << far) & last
    return found


def _layer(cells: int, place: int) -> int:
    """The bits whose place along the axis of stride `cells` is the one given, as a signed word."""
    bits = sum(1 << bit for bit in range(WORD) if bit // cells % BLOCK == place)
    return bits - (1 << WORD) if bits >> (WORD - 1) else bits


def _shifted(words: Tensor, by: int) -> Tensor:
    """To lower bits, without the sign."""
    return (words >> by) & ((1 << (WORD - by)) - 1)
