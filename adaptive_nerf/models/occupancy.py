"""Where there is something to see: one grid of cells over each expert's box, learned from the weights along rays.

A cell keeps a decaying maximum, in 8 bits, of (weight of a sample there) / (largest weight on its ray). Relative, for
an absolute bound deletes ground without texture. Cells above the threshold, and their six neighbours, are marched
through. 64 cells (4 x 4 x 4) are one word of bits; maxima lie in the same order: by slot, by word, by bit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adaptive_nerf.engine import reference_occupancy
from adaptive_nerf.engine.engines import engine
from adaptive_nerf.engine.reference_occupancy import WORD
from adaptive_nerf.engine.samples import BLOCK, Occupancy, Regions, Samples

THRESHOLD, START = 0.3, 0.6
CELLS_ALONG_LONGEST_SIDE = 512
FEW = 0.1  # share of cells up to which to look for them is faster than to take them all
# Whole words; on a CPU what was read is still in the cache when it is written, on a GPU many are as soon done as few.
CELLS_AT_ONCE, ON_A_GPU = 1 << 20, 1 << 26


@dataclass(frozen=True)
class OccupancyGrids:
    regions: Regions
    occupancy: Occupancy  # words are written in place
    maxima: Tensor  # [n_words * 64] uint8

    @classmethod
    def full(cls, regions: Regions, cell: float, device: torch.device | str = "cpu") -> OccupancyGrids:
        occupancy = Occupancy.full(regions, cell, device)
        start = torch.full((len(occupancy.words) * WORD,), round(START * 255), dtype=torch.uint8, device=device)
        return cls(regions, occupancy, start)

    @classmethod
    def of_bits(cls, regions: Regions, occupancy: Occupancy) -> OccupancyGrids:
        """With the bits that were saved; the maxima are where a cell starts, or 0."""
        words = occupancy.words
        maxima = torch.from_numpy(np.unpackbits(words.cpu().numpy().view(np.uint8), bitorder="little"))
        return cls(regions, occupancy, maxima.mul_(round(START * 255)).to(words.device))

    @property
    def share(self) -> float:
        """Of the cells, those that are marched through."""
        words = self.occupancy.words.cpu().numpy().view(np.uint64)
        return float(np.bitwise_count(words).sum() / (len(words) * WORD))

    def observe(self, samples: Samples, relative: Tensor) -> None:
        """Raise the maxima of the samples' cells. What is far below the threshold changes nothing and is skipped."""
        engine(self.maxima.device).observe(self.maxima, samples, relative, self.regions, self.occupancy, THRESHOLD / 2)

    def cells(self, slots: Tensor, local: Tensor) -> Tensor:
        """Where the maxima of the cells of places lie. [n], [n, 3] -> [n] int64"""
        return reference_occupancy.cells(slots, local, self.regions, self.occupancy)

    @torch.no_grad()
    def rebuild(self, decay: float, floor: Tensor | None = None, slots: Collection[int] | None = None) -> None:
        """Let all maxima decay, and set the bits anew; those of the floor [n_words] stay set.

        Only of some slots, where those are named: what nobody looks at would decay to nothing.
        """
        at_once = CELLS_AT_ONCE if self.maxima.device.type == "cpu" else ON_A_GPU
        for slot in range(len(self.occupancy.blocks)) if slots is None else slots:
            first, last = self.occupancy.first_words[slot:slot + 2]
            parts = self.maxima[first * WORD:last * WORD].split(at_once)
            words = torch.cat([_above_and_faded(maxima, decay) for maxima in parts])
            self.occupancy.words[first:last] = grown(words.view(self.occupancy.blocks[slot])).flatten()
        if floor is not None:
            self.occupancy.words.bitwise_or_(floor)

    def only(self, slots: Collection[int]) -> OccupancyGrids:
        """With nothing to see in the other slots."""
        words = torch.zeros_like(self.occupancy.words)
        for slot in slots:
            part = slice(*self.occupancy.first_words[slot:slot + 2])
            words[part] = self.occupancy.words[part]
        return replace(self, occupancy=replace(self.occupancy, words=words))

    def copied(self) -> OccupancyGrids:
        return replace(self, occupancy=replace(self.occupancy, words=self.occupancy.words.clone()),
                       maxima=self.maxima.clone())


def _above_and_faded(maxima: Tensor, decay: float) -> Tensor:
    """Bits of the maxima [n] above the threshold -> [n / 64] words; the maxima then decay, rounded down.

    Eight cells at a time; only those in which something is, once there are few: most of the air is empty before long.
    """
    eights, as_one = maxima.view(-1, 8), maxima.view(torch.int64)
    if int(as_one.count_nonzero()) > FEW * len(as_one):
        found = packed(eights > int(THRESHOLD * 255))
        maxima.copy_(maxima.float().mul_(decay))
        return found.view(torch.int64)
    live = as_one.nonzero()[:, 0]
    values = eights[live]
    found = torch.zeros(len(eights), dtype=torch.uint8, device=maxima.device)
    found[live] = packed(values > int(THRESHOLD * 255))
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
