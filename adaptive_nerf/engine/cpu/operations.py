"""The operations by the library. Each differentiable one is an autograd function without a double backward."""

import ctypes

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptive_nerf.engine import directions as reference_directions
from adaptive_nerf.engine.cpu import checks, pool
from adaptive_nerf.engine.cpu.buffers import (
    Unsorted,
    by_axis,
    by_level,
    float32,
    is_half,
    large,
    levels,
    new_features,
    pieces,
)
from adaptive_nerf.engine.cpu.library import AdamArgs, EncodeArgs, Pending, TableArgs, groups_of_numbers, library
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.optimise import USUAL, Adam, Moments
from adaptive_nerf.engine.table_gradients import TableGradients, entries_a_line
from adaptive_nerf.engine.threads import threads

WHOLE = 1 << 62


def encode(tables: Tensor, local: Tensor, slots: Tensor, grid: HashGrid, sink: TableGradients | None = None,
           half: bool = False) -> Tensor:
    """`half`: the features are bfloat16, and so is their gradient."""
    float32(tables=tables, local=local)
    checks.tables_of(grid, tables)
    checks.sized("local", local, None, 3)
    dtype = torch.bfloat16 if half else torch.float32
    try:
        return _Encode.apply(tables, local, slots, grid, sink, dtype)
    except Unsorted:
        order = torch.argsort(slots, stable=True)
        return _Encode.apply(tables, local[order], slots[order], grid, sink, dtype)[torch.argsort(order)]


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tables, local, slots, grid, sink, dtype):  # type: ignore[no-untyped-def]
        tables = tables.contiguous()
        local, _stride = by_axis(local)
        features = encoded(tables, local, slots, grid, dtype)
        ctx.save_for_backward(tables, local, slots)
        ctx.grid, ctx.sink = grid, sink
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        tables, local, slots = ctx.saved_tensors
        for_tables, for_local = None, None
        if ctx.needs_input_grad[1]:
            for_local = _places_gradient(tables, local, slots, ctx.grid, gradient)
        if ctx.needs_input_grad[0] and ctx.sink is not None:
            ctx.sink.add(local, slots, gradient)
        elif ctx.needs_input_grad[0]:
            for_tables = table_gradient(tables, local, slots, gradient, ctx.grid)
        return for_tables, for_local, None, None, None, None


def encoded(tables: Tensor, local: Tensor, slots: Tensor, grid: HashGrid, dtype: torch.dtype) -> Tensor:
    """The features of places [n, 3] that lie axis by axis."""
    features = new_features(len(local), grid.levels, grid.features, dtype)
    args, held = _encode_args(tables, local, slots, grid)
    args.features, args.features_stride = features.data_ptr(), features.stride(1)
    args.half = is_half(features)
    pool.run(library().encode, args, held.count * grid.levels)
    return features


def table_gradient(tables: Tensor, local: Tensor, slots: Tensor, gradient: Tensor, grid: HashGrid) -> Tensor:
    """From the gradient of the features."""
    total = large(tuple(tables.shape), tables.dtype)
    _update(total, None, grid, len(tables), [(local, slots, gradient)], fresh=1)
    return total


def _encode_args(tables, local, slots, grid):  # type: ignore[no-untyped-def]
    held = pieces(slots, len(tables), len(local))
    args = EncodeArgs(local=local.data_ptr(), local_stride=local.stride(1), n_pieces=held.count,
                      pieces=ctypes.addressof(held.data), levels=ctypes.addressof(levels(grid)), n_levels=grid.levels,
                      n_features=grid.features, rows=grid.rows, tables=tables.data_ptr())
    return args, held


def _places_gradient(tables: Tensor, local: Tensor, slots: Tensor, grid: HashGrid, gradient: Tensor) -> Tensor:
    gradient, stride = by_level(gradient.float())
    found = torch.zeros(3, len(local)).t()
    args, held = _encode_args(tables, local, slots, grid)
    args.gradient, args.gradient_stride = gradient.data_ptr(), stride
    args.local_gradient, args.local_gradient_stride = found.data_ptr(), len(local)
    pool.run(library().encode_places_gradient, args, held.count)
    return found


def _update(total: Tensor | None, touched: Tensor | None, grid: HashGrid, n_slots: int,
            pending: list[tuple[Tensor, Tensor, Tensor]], **step: object) -> None:
    """Add what is pending to the total [n_slots, rows, features], or to the scratch; with a step, take it."""
    listed, held = (Pending * len(pending))(), []
    for entry, (places, slots, gradient) in zip(listed, pending, strict=True):
        local, local_stride = by_axis(places)
        features, features_stride = by_level(gradient)
        cut = pieces(slots, n_slots, len(local), WHOLE)
        held.append((local, features, cut))
        entry.local, entry.local_stride = local.data_ptr(), local_stride
        entry.features, entry.features_stride, entry.half = features.data_ptr(), features_stride, is_half(features)
        entry.pieces, entry.n_pieces = ctypes.addressof(cut.data), cut.count
    args = TableArgs(pending=ctypes.addressof(listed), n_pending=len(pending), n_levels=grid.levels, rows=grid.rows,
                     levels=ctypes.addressof(levels(grid)), n_features=grid.features, n_slots=n_slots,
                     line=entries_a_line(grid.features), largest=grid.largest, **step)
    args.total, args.touched = (None if part is None else part.data_ptr() for part in (total, touched))
    pool.run(library().update_tables, args, grid.levels * n_slots)


def scatter(gradients: TableGradients) -> None:
    _update(gradients.total, gradients.touched, gradients.grid, gradients.n_slots, _waiting(gradients))
    gradients.pending.clear()


def adam_lazy(tables: Tensor, moments: Moments, gradients: TableGradients, rates: Tensor, adam: Adam = USUAL) -> None:
    float32(tables=tables, rates=rates)
    checks.sized("rates", rates, len(tables))
    _step(tables, moments, gradients, rates.contiguous(), adam, lazy=1)


def descend(tables: Tensor, gradients: TableGradients, rates: Tensor, longest: float) -> None:
    float32(tables=tables, rates=rates)
    checks.sized("rates", rates, len(tables), gradients.grid.levels)
    _step(tables, None, gradients, rates.contiguous(), USUAL, lazy=1, longest=longest)


def adam_tables(tables: Tensor, moments: Moments, gradients: TableGradients, step: tuple[int, float],
                adam: Adam = USUAL) -> None:
    number, rate = step
    rates = torch.full((len(tables),), rate / (1 - adam.beta1**number))
    _step(tables, moments, gradients, rates, adam, spread=(1 - adam.beta2**number) ** -0.5)
    if gradients.added_up:
        gradients.touched.zero_()


def _step(tables: Tensor, moments: Moments | None, gradients: TableGradients, rates: Tensor, adam: Adam,
          **kind: float) -> None:
    checks.tables_of(gradients.grid, tables, gradients.n_slots)
    checks.in_place(tables, moments, "tables")
    first, second = (None, None) if moments is None else (moments.first.data_ptr(), moments.second.data_ptr())
    if gradients.added_up:
        total, touched = gradients.total, gradients.touched
    else:
        levels = gradients.grid.levels * len(tables)  # of all slots: whoever works takes one
        scratch, marks = gradients.scratch(min(threads(), levels))
        total, touched = None, None
        kind |= {"scratch": scratch.data_ptr(), "scratch_touched": marks.data_ptr(), "n_scratch": len(scratch)}
    _update(total, touched, gradients.grid, len(tables), _waiting(gradients), values=tables.data_ptr(),
            first=first, second=second, rates=rates.data_ptr(),
            beta1=adam.beta1, beta2=adam.beta2, epsilon=adam.epsilon, **kind)
    gradients.pending.clear()


def _waiting(gradients: TableGradients) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [(pending.local, pending.slots, pending.features) for pending in gradients.pending]


def adam_dense(values: Tensor, moments: Moments, gradient: Tensor, step: tuple[int, float],
               adam: Adam = USUAL) -> None:
    float32(values=values, gradient=gradient)
    checks.in_place(values, moments)
    checks.sized("gradient", gradient, *values.shape)
    gradient = gradient.contiguous()
    number, rate = step
    args = AdamArgs(n=values.numel(), values=values.data_ptr(), first=moments.first.data_ptr(),
                    second=moments.second.data_ptr(), gradient=gradient.data_ptr(), rate=rate, beta1=adam.beta1,
                    beta2=adam.beta2, epsilon=adam.epsilon, correction1=1 - adam.beta1**number,
                    correction2=1 - adam.beta2**number)
    pool.run(library().adam_dense, args, groups_of_numbers(values.numel()))


def spherical_harmonics(directions: Tensor) -> Tensor:
    """Of [n, 3] -> [n, 16]. Where a gradient is asked for, torch serves."""
    if directions.requires_grad:
        return reference_directions.spherical_harmonics(directions)
    float32(directions=directions)
    checks.sized("directions", directions, None, 3)
    found = torch.empty(len(directions), 16)
    library().spherical_harmonics(directions.contiguous().data_ptr(), len(directions), found.data_ptr(), 16)
    return found
