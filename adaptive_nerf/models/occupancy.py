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
from adaptive_nerf.engine.samples import Occupancy, Regions, Samples

THRESHOLD, START = 0.3, 0.6
CELLS_ALONG_LONGEST_SIDE = 512


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

    def rebuild(self, decay: float, floor: Tensor | None = None, slots: Collection[int] | None = None,
                may: Tensor | None = None) -> None:
        """Let all maxima decay, and set the bits anew; those of the floor [n_words] stay set; but none is set that
        is not in `may` [n_words].

        Only of some slots, where those are named: what nobody looks at would decay to nothing.
        """
        named = tuple(range(len(self.occupancy.blocks)) if slots is None else slots)
        engine(self.maxima.device).rebuild(self.maxima, self.regions, self.occupancy, (THRESHOLD, decay), floor, named)
        if may is not None:
            self.occupancy.words.bitwise_and_(may)

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
