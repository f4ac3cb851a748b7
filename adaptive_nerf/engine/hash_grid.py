"""The shape of a multiresolution hash grid, as tiny-cuda-nn lays it out: weights move between engines unchanged.

Level l has scale = base * growth^l - 1 (rounded to float32), and resolution = ceil(scale) + 1; a position x in
[0, 1]^3 falls into the cell floor(x * scale + 0.5). Levels lie one after the other, the features of an entry side by
side. Where resolution^3 (rounded up to 8) fits into 2^log2_size entries, an entry is found by its dense index, x
fastest; else by the XOR of the cell with three primes. Either is taken modulo the size of the level, so that a corner
beyond x = 1 wraps.
"""

import math
from ctypes import c_float
from dataclasses import dataclass
from functools import cached_property

PRIMES = (1, 2654435761, 805459861)
ALIGNMENT = 8  # entries; of the size of a level


@dataclass(frozen=True)
class Level:
    offset: int  # entries before this level, of one slot
    size: int  # entries
    resolution: int
    scale: float
    hashed: bool


@dataclass(frozen=True)
class HashGrid:
    levels: int = 8
    features: int = 4
    log2_size: int = 19
    base: int = 16
    finest: int = 4096

    def __post_init__(self) -> None:
        if not (1 <= self.levels <= 32 and 1 <= self.features <= 8):
            raise ValueError(f"a hash grid has 1 to 32 levels of 1 to 8 features, not {self.levels} x {self.features}")
        if not (3 <= self.log2_size <= 28 and 2 <= self.base <= self.finest <= 1 << 20):
            raise ValueError(f"a hash grid has 2^3 to 2^28 entries and 2 <= base <= finest <= 2^20, not {self}")

    @cached_property
    def layout(self) -> tuple[Level, ...]:
        growth = math.exp(math.log(self.finest / self.base) / (self.levels - 1)) if self.levels > 1 else 1.0
        found, offset = [], 0
        for index in range(self.levels):
            scale = c_float(self.base * growth**index - 1).value
            resolution = math.ceil(scale) + 1
            dense = -(-(resolution**3) // ALIGNMENT) * ALIGNMENT
            size = min(dense, 1 << self.log2_size)
            found.append(Level(offset, size, resolution, scale, dense > size))
            offset += size
        return tuple(found)

    @property
    def rows(self) -> int:
        """Entries of all levels together: a slot's table is [rows, features]."""
        return self.layout[-1].offset + self.layout[-1].size

    @property
    def largest(self) -> int:
        """Entries of the largest level."""
        return max(level.size for level in self.layout)

    @property
    def outputs(self) -> int:
        return self.levels * self.features
