"""The gradient of the tables, kept until the optimiser wants it.

A table has millions of entries, of which a step touches a part. So `encode` can be given a sink: its backward only
puts the gradient of the features aside here, and the optimiser adds it to the entries and updates them, level by level,
while they are in the cache. Entries that no sample touched are neither read nor written.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from adaptive_nerf.engine.hash_grid import HashGrid


def entries_a_line(features: int) -> int:
    """Touched places are remembered in units of about a cache line."""
    return 8 if features <= 2 else 4 if features <= 4 else 2


@dataclass(frozen=True)
class Pending:
    local: Tensor  # [n, 3]
    slots: Tensor  # [n]
    features: Tensor  # [n, levels, features] gradient


@dataclass
class TableGradients:
    grid: HashGrid
    n_slots: int
    device: torch.device | str = "cpu"
    pending: list[Pending] = field(default_factory=list)
    total: Tensor = field(init=False)  # [n_slots, rows, features], zero wherever it was not touched
    touched: Tensor = field(init=False)  # [n_lines] uint8: which lines of `total` may not be zero

    def __post_init__(self) -> None:
        self.total = torch.zeros(self.n_slots, self.grid.rows, self.grid.features, device=self.device)
        lines = self.n_slots * self.grid.rows // entries_a_line(self.grid.features)
        self.touched = torch.zeros(lines, dtype=torch.uint8, device=self.device)

    def add(self, local: Tensor, slots: Tensor, features: Tensor) -> None:
        self.pending.append(Pending(local, slots, features))

    def clear(self) -> None:
        """Forget everything that was put aside or added up."""
        self.pending.clear()
        self.total.zero_()
        self.touched.zero_()
