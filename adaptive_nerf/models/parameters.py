"""What a field has learned, but for its occupancy and the photos' appearance: tables, trunks, heads, background.

Row by slot: the loaded experts, in the order of their ids. Everything starts as a function of (seed, expert id).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adaptive_nerf.engine import draws
from adaptive_nerf.engine.network import Network
from adaptive_nerf.models.architecture import Architecture

TABLE_START = 1e-4


@dataclass(frozen=True)
class FieldParameters:
    tables: Tensor  # [n_slots, rows, features]
    trunks: Tensor  # [n_slots, n_weights]
    heads: Tensor  # [1, n_weights] shared, or [n_slots, n_weights]
    background: Tensor  # [1, n_weights]; [1, 0] where there is none

    def named(self) -> Iterator[tuple[str, Tensor]]:
        yield from vars(self).items()

    def map(self, function) -> FieldParameters:  # type: ignore[no-untyped-def]
        return FieldParameters(**{name: function(value) for name, value in self.named()})

    def learnable(self, held: Collection[str] = ()) -> FieldParameters:
        """All but those named take gradients."""
        return FieldParameters(**{name: value.detach().requires_grad_(name not in held)
                                  for name, value in self.named()})

    def copied(self) -> FieldParameters:
        return self.map(lambda value: value.detach().clone())

    @property
    def device(self) -> torch.device:
        return self.tables.device


def initial(architecture: Architecture, experts: Sequence[int], seed: int) -> FieldParameters:
    grid = architecture.grid
    tables = torch.empty(len(experts), grid.rows, grid.features)
    for slot, expert in enumerate(experts):
        tables[slot].uniform_(-TABLE_START, TABLE_START, generator=_generator(seed, "table", expert))
    # Trunks start alike: what overlapping experts say of one place can then be blended from the first step on.
    trunk = _network(architecture.trunk.network, seed, "trunk")
    head = _network(architecture.colour_head, seed, "head")
    background = _network(architecture.background, seed, "background") if architecture.background else torch.empty(0)
    return FieldParameters(tables, trunk.repeat(len(experts), 1), head.repeat(architecture.n_heads(len(experts)), 1),
                           background[None])


def _network(shape: Network, seed: int, purpose: str) -> Tensor:
    return shape.initial(_generator(seed, purpose, 0))


def _generator(seed: int, purpose: str, expert: int) -> torch.Generator:
    return torch.Generator().manual_seed(draws.stream(seed, purpose, expert) >> 1)
