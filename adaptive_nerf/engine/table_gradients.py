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
    _total: Tensor | None = None
    _touched: Tensor | None = None
    _scratch: tuple[Tensor, Tensor] | None = None

    def add(self, local: Tensor, slots: Tensor, features: Tensor) -> None:
        self.pending.append(Pending(local, slots, features))

    @property
    def total(self) -> Tensor:
        """[n_slots, rows, features], zero wherever it was not touched. As large as the tables: made when asked for."""
        if self._total is None:
            self._total = torch.zeros(self.n_slots, self.grid.rows, self.grid.features, device=self.device)
        return self._total

    @property
    def touched(self) -> Tensor:
        """[n_lines] uint8: which lines of `total` may not be zero."""
        if self._touched is None:
            lines = self.n_slots * self.grid.rows // entries_a_line(self.grid.features)
            self._touched = torch.zeros(lines, dtype=torch.uint8, device=self.device)
        return self._touched

    @property
    def added_up(self) -> bool:
        """Whether `total` may hold anything."""
        return self._total is not None

    def scratch(self, workers: int) -> tuple[Tensor, Tensor]:
        """Room for the gradient of one level for each worker, and for its marks; all zero. For optimisers that have no
        use for the total: what is used level after level stays in the cache."""
        if self._scratch is None or len(self._scratch[0]) < workers:
            largest, line = self.grid.largest, entries_a_line(self.grid.features)
            self._scratch = (torch.zeros(workers, largest, self.grid.features),
                             torch.zeros(workers, largest // line, dtype=torch.uint8))
        return self._scratch

    def clear(self) -> None:
        """Forget everything that was put aside or added up."""
        self.pending.clear()
        if self._total is not None:
            self.total.zero_()
            self.touched.zero_()
