"""Adam, in plain torch: lazy for tables (entries without a gradient stay as they are), and dense for the rest.

The lazy one has no bias correction, and so no step counters: with betas of 0.9 and 0.99 the first step of an entry is 1
times the rate anyway. Rates are one a slot; a slot of rate 0 is frozen, its moments too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from adaptive_nerf.engine.table_gradients import TableGradients, entries_a_line
from adaptive_nerf.engine.torch_reference import encode


@dataclass(frozen=True)
class Adam:
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-15


USUAL = Adam()


@dataclass(frozen=True)
class Moments:
    """The running means of gradient and squared gradient, of the shape of what is optimised."""

    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, values: Tensor) -> "Moments":
        return cls(torch.zeros_like(values, requires_grad=False), torch.zeros_like(values, requires_grad=False))


def scatter(gradients: TableGradients) -> None:
    """Add what was put aside to `gradients.total`."""
    shape = gradients.total.shape
    for pending in gradients.pending:
        with torch.enable_grad():
            tables = torch.zeros_like(gradients.total).requires_grad_()
            features = encode(tables, pending.local, pending.slots, gradients.grid)
            (found,) = torch.autograd.grad(features, tables, pending.features)
        gradients.total.add_(found)
    lines = gradients.total.view(-1, entries_a_line(shape[-1]) * shape[-1])
    gradients.touched.copy_((lines != 0).any(1))
    gradients.pending.clear()


@torch.no_grad()
def adam_lazy(tables: Tensor, moments: Moments, gradients: TableGradients, rates: Tensor, adam: Adam = USUAL) -> None:
    """One step for the entries that have a gradient; uses the gradients up. rates [n_slots]"""
    scatter(gradients)
    rate = rates.to(tables.device)[:, None, None]
    moved = (gradients.total != 0) & (rate != 0)
    first = adam.beta1 * moments.first + (1 - adam.beta1) * gradients.total
    second = adam.beta2 * moments.second + (1 - adam.beta2) * gradients.total.square()
    moments.first.copy_(torch.where(moved, first, moments.first))
    moments.second.copy_(torch.where(moved, second, moments.second))
    tables.copy_(torch.where(moved, tables - rate * first / (second.sqrt() + adam.epsilon), tables))
    gradients.clear()


@torch.no_grad()
def descend(tables: Tensor, gradients: TableGradients, rates: Tensor, longest: float) -> None:
    """A step along the gradient, for those who know how large a usual one is, and need no moments for it; uses the
    gradients up. rates [n_slots, n_levels]; no value moves farther than `longest`."""
    scatter(gradients)
    descend_total(tables, gradients, rates, longest)


@torch.no_grad()
def descend_total(tables: Tensor, gradients: TableGradients, rates: Tensor, longest: float) -> None:
    """Along what is added up already."""
    for rate, level in zip(rates.to(tables.device).unbind(1), gradients.grid.layout, strict=True):
        rows = slice(level.offset, level.offset + level.size)
        tables[:, rows] -= (rate[:, None, None] * gradients.total[:, rows]).clamp(-longest, longest)
    gradients.clear()


def adam_tables(tables: Tensor, moments: Moments, gradients: TableGradients, step: tuple[int, float],
                adam: Adam = USUAL) -> None:
    """One step for all entries, those without a gradient too, with bias correction; uses the gradients up."""
    scatter(gradients)
    adam_dense(tables, moments, gradients.total, step, adam)
    gradients.clear()


@torch.no_grad()
def adam_dense(values: Tensor, moments: Moments, gradient: Tensor, step: tuple[int, float],
               adam: Adam = USUAL) -> None:
    """One step for everything. `step` is its number, from 1, and the rate."""
    number, rate = step
    moments.first.lerp_(gradient, 1 - adam.beta1)
    moments.second.lerp_(gradient.square(), 1 - adam.beta2)
    first = moments.first / (1 - adam.beta1**number)
    second = moments.second / (1 - adam.beta2**number)
    values -= rate * first / (second.sqrt() + adam.epsilon)
