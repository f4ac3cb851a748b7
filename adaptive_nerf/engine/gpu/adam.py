"""Adam on CUDA, in one pass: entries without a gradient are neither read nor written, beyond the gradient itself."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaptive_nerf.engine import optimise
from adaptive_nerf.engine.gpu import encoding
from adaptive_nerf.engine.optimise import USUAL, Adam, Moments
from adaptive_nerf.engine.table_gradients import TableGradients

ENTRIES = 1024  # of one program


@torch.no_grad()
def adam_lazy(tables: Tensor, moments: Moments, gradients: TableGradients, rates: Tensor, adam: Adam = USUAL) -> None:
    encoding.add_up(gradients)
    n_slots, size = len(tables), tables[0].numel()
    _adam_lazy[(triton.cdiv(size, ENTRIES), n_slots)](
        tables, moments.first, moments.second, gradients.total, rates.to(tables.device, torch.float32), size,
        adam.beta1, 1 - adam.beta1, adam.beta2, 1 - adam.beta2, adam.epsilon, ENTRIES)
    gradients.touched.zero_()


def descend(tables: Tensor, gradients: TableGradients, rates: Tensor, longest: float) -> None:
    encoding.add_up(gradients)
    optimise.descend_total(tables, gradients, rates, longest)


@torch.no_grad()
def adam_tables(tables: Tensor, moments: Moments, gradients: TableGradients, step: tuple[int, float],
                adam: Adam = USUAL) -> None:
    encoding.add_up(gradients)
    adam_dense(tables, moments, gradients.total, step, adam)
    gradients.clear()


@torch.no_grad()
def adam_dense(values: Tensor, moments: Moments, gradient: Tensor, step: tuple[int, float],
               adam: Adam = USUAL) -> None:
    parts = (values, moments.first, moments.second)
    if not all(part.is_contiguous() for part in parts):
        optimise.adam_dense(values, moments, gradient, step, adam)
        return
    number, rate = step
    _adam_dense[(triton.cdiv(values.numel(), ENTRIES),)](
        *parts, gradient.contiguous(), values.numel(), rate / (1 - adam.beta1**number),
        1 / (1 - adam.beta2**number), adam.beta1, 1 - adam.beta1, adam.beta2, 1 - adam.beta2, adam.epsilon, ENTRIES)


@triton.jit(do_not_specialize=["size"])
def _adam_lazy(tables, firsts, seconds, total, rates, size, beta1, rest1, beta2, rest2, epsilon,
               ENTRIES: tl.constexpr):
    rate = tl.load(rates + tl.program_id(1))
    within = tl.program_id(0).to(tl.int64) * ENTRIES + tl.arange(0, ENTRIES)
    i = tl.program_id(1).to(tl.int64) * size + within
    gradient = tl.load(total + i, mask=within < size, other=0.0)
    moved = tl.where(rate != 0, gradient, 0.0) != 0
    first = beta1 * tl.load(firsts + i, mask=moved, other=0.0) + rest1 * gradient
    second = beta2 * tl.load(seconds + i, mask=moved, other=0.0) + rest2 * gradient * gradient
    value = tl.load(tables + i, mask=moved, other=0.0) - rate * first / (tl.sqrt(second) + epsilon)
    tl.store(firsts + i, first, mask=moved)
    tl.store(seconds + i, second, mask=moved)
    tl.store(tables + i, value, mask=moved)
    tl.store(total + i, 0.0, mask=gradient != 0)


@triton.jit(do_not_specialize=["size"])
def _adam_dense(values, firsts, seconds, gradients, size, rate, scale2, beta1, rest1, beta2, rest2, epsilon,
                ENTRIES: tl.constexpr):
    """`rate` and `scale2`: with the correction for moments that began at 0."""
    i = tl.program_id(0).to(tl.int64) * ENTRIES + tl.arange(0, ENTRIES)
    used = i < size
    gradient = tl.load(gradients + i, mask=used, other=0.0)
    first = beta1 * tl.load(firsts + i, mask=used, other=0.0) + rest1 * gradient
    second = beta2 * tl.load(seconds + i, mask=used, other=0.0) + rest2 * gradient * gradient
    value = tl.load(values + i, mask=used, other=0.0) - rate * first / (tl.sqrt(second * scale2) + epsilon)
    tl.store(firsts + i, first, mask=used)
    tl.store(seconds + i, second, mask=used)
    tl.store(values + i, value, mask=used)
