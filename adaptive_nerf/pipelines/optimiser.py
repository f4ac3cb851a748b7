"""One optimiser step over all groups of a field: lazy Adam on the tables, Adam on the rest, rates by group and slot.

Moments are kept in one object, which goes into checkpoints. A slot of rate 0 is frozen, its moments too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adaptive_nerf.engine.engines import Engine
from adaptive_nerf.engine.optimise import USUAL, Moments
from adaptive_nerf.engine.table_gradients import TableGradients
from adaptive_nerf.models.parameters import FieldParameters
from adaptive_nerf.pipelines.rates import Rates

Kind = Literal["adam", "adamw", "sgd"]
DECAY = 1e-2  # of weights, for adamw
LONGEST = 10.0  # step of a table's value, in usual ones
CLIP = 1.0  # largest gradient of a network, by its norm
SMALL = ("trunks", "heads", "background")


@dataclass
class Optimiser:
    """`active`: 1 for slots that learn, 0 for frozen ones. `usual`: how large a gradient is usual in each level of the
    tables, for those who know: then steps are as long as a gradient is beside it, and tables have no moments."""

    engine: Engine
    kind: Kind
    active: Tensor  # [n_slots]
    moments: dict[str, Moments]
    appearance_moments: Moments
    taken: int = 0
    usual: Tensor | None = None  # [n_levels]

    @classmethod
    def of(cls, engine: Engine, kind: Kind, parameters: FieldParameters, appearance: Tensor,
           active: Tensor | None = None, table_moments: bool = True) -> Optimiser:
        active = torch.ones(len(parameters.tables)) if active is None else active
        moments = {name: Moments.of(value) for name, value in parameters.named() if name != "tables" or table_moments}
        return cls(engine, kind, active, moments, Moments.of(appearance))

    @torch.no_grad()
    def step(self, parameters: FieldParameters, sink: TableGradients, appearance: Tensor, rates: Rates) -> None:
        """Uses up the gradients: those of the tables in the sink, the others in `.grad`."""
        self.taken += 1
        self._tables(parameters.tables, sink, rates.tables)
        for name in SMALL:
            values, rate = getattr(parameters, name), getattr(rates, name)
            if values.grad is not None and rate and values.numel():
                self._network(values, self.moments[name], rate)
            values.grad = None
        if appearance.grad is not None and rates.appearance:
            _adam_of_touched_rows(appearance, self.appearance_moments, appearance.grad, rates.appearance)
        appearance.grad = None

    def _tables(self, tables: Tensor, sink: TableGradients, rate: float) -> None:
        rates = self.active * rate
        if self.kind == "sgd":
            self.engine.scatter(sink)
            tables -= rates.to(tables.device)[:, None, None] * sink.total
            sink.clear()
            return
        if self.kind == "adamw":
            tables *= 1 - rates.to(tables.device)[:, None, None] * DECAY
        if self.usual is not None:
            self.engine.descend(tables, sink, rates[:, None] / self.usual, LONGEST * rate)
            return
        self.engine.adam_lazy(tables, self.moments["tables"], sink, rates)

    def _network(self, values: Tensor, moments: Moments, rate: float) -> None:
        """Row by row: a frozen expert's row stays, and a wild gradient of one expert does not shorten another's."""
        by_slot = len(values) == len(self.active)
        gradients = values.grad * (CLIP / values.grad.norm(dim=1, keepdim=True).clamp(min=CLIP))
        for row in range(len(values)):
            share = float(self.active[row]) if by_slot else 1.0
            if not share:
                continue
            if self.kind == "sgd":
                values[row] -= rate * gradients[row]
                continue
            if self.kind == "adamw":
                values[row] *= 1 - rate * DECAY
            one = Moments(moments.first[row], moments.second[row])
            self.engine.adam_dense(values[row], one, gradients[row], (self.taken, rate))


def gradients_are_numbers(parameters: FieldParameters, appearance: Tensor) -> bool:
    """Also where the loss is one: a step with a gradient that is none would spoil weights and moments for good.

    Those of the tables come through the networks, and need no look of their own.
    """
    values = [*(getattr(parameters, name) for name in SMALL), appearance]
    norms = [value.grad.norm() for value in values if value.grad is not None]
    return not norms or bool(torch.stack(norms).isfinite().all())


def _adam_of_touched_rows(values: Tensor, moments: Moments, gradient: Tensor, rate: float) -> None:
    """Photos without a ray in this step stay as they are. [n_photos, width]"""
    touched = (gradient != 0).any(1, keepdim=True)
    first = torch.lerp(moments.first, gradient, 1 - USUAL.beta1)
    second = torch.lerp(moments.second, gradient.square(), 1 - USUAL.beta2)
    moments.first.copy_(torch.where(touched, first, moments.first))
    moments.second.copy_(torch.where(touched, second, moments.second))
    values -= torch.where(touched, rate * first / (second.sqrt() + USUAL.epsilon), 0.0)
