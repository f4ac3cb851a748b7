"""The hash grid on CUDA: features of places, and the gradient of the tables added up with atomics.

One program does one level of a block of places. Sums of gradients come in any order: two runs differ by rounding.
"""

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptive_nerf.engine import torch_reference
from adaptive_nerf.engine.hash_grid import PRIMES, HashGrid
from adaptive_nerf.engine.table_gradients import TableGradients, entries_a_line

PLACES = 128  # of one program


def encode(tables: Tensor, local: Tensor, slots: Tensor, grid: HashGrid, sink: TableGradients | None = None) -> Tensor:
    if local.requires_grad or tables.dtype != torch.float32:
        return torch_reference.encode(tables, local, slots, grid, sink)
    return _Encode.apply(tables, local.contiguous(), slots.int().contiguous(), grid, sink)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tables, local, slots, grid, sink):  # type: ignore[no-untyped-def]
        ctx.grid, ctx.sink, ctx.n_slots = grid, sink, len(tables)
        ctx.save_for_backward(local, slots)
        features = torch.empty(len(local), grid.levels, grid.features, device=local.device)
        _launch(tables.contiguous(), local, slots, features, grid)
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        local, slots = ctx.saved_tensors
        if ctx.sink is not None:
            ctx.sink.add(local, slots, gradient)
            return (None,) * 5
        total = torch.zeros(ctx.n_slots, ctx.grid.rows, ctx.grid.features, device=local.device)
        _launch(total, local, slots, gradient.contiguous(), ctx.grid, backward=True)
        return total, None, None, None, None


def add_up(gradients: TableGradients) -> None:
    """What was put aside, into `gradients.total`; the marks of touched lines stay as they are."""
    for pending in gradients.pending:
        _launch(gradients.total, pending.local.contiguous(), pending.slots.int().contiguous(),
                pending.features.contiguous(), gradients.grid, backward=True)
    gradients.pending.clear()


def scatter(gradients: TableGradients) -> None:
    add_up(gradients)
    lines = gradients.total.view(-1, entries_a_line(gradients.grid.features) * gradients.grid.features)
    gradients.touched.copy_((lines != 0).any(1))


def _launch(tables: Tensor, local: Tensor, slots: Tensor, features: Tensor, grid: HashGrid,
            backward: bool = False) -> None:
    if len(local):
        scales, layout = _levels(grid, local.device)
        _walk[(triton.cdiv(len(local), PLACES), grid.levels)](
            tables, local, slots, features, scales, layout, len(local), grid.rows, backward, grid.levels,
            grid.features, triton.next_power_of_2(grid.features), PLACES)


@functools.lru_cache(64)
def _levels(grid: HashGrid, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scales [levels], and [levels, 4]: offset, size, resolution, whether hashed."""
    layout = [(level.offset, level.size, level.resolution, int(level.hashed)) for level in grid.layout]
    return (torch.tensor([level.scale for level in grid.layout], device=device),
            torch.tensor(layout, dtype=torch.int32, device=device))


SECOND, THIRD = (tl.constexpr(prime) for prime in PRIMES[1:])


@triton.jit
def _cell(local, i, used, axis: tl.constexpr, scale):
    """The cell along an axis, and how far into it."""
    x = tl.load(local + 3 * i + axis, mask=used, other=0.0)
    x = tl.where(x == x, x, 0.0)  # noqa: PLR0124 - NaN is taken to 0
    position = tl.minimum(tl.maximum(x, 0.0), 1.0) * scale + 0.5
    low = tl.floor(position)
    return low.to(tl.int32).to(tl.uint32), position - low


@triton.jit
def _weight(corner: tl.constexpr, u, v, w):
    weight = u if corner & 1 else 1 - u
    weight *= v if corner & 2 else 1 - v
    weight *= w if corner & 4 else 1 - w
    return weight


@triton.jit
def _entry(corner: tl.constexpr, x, y, z, size, resolution, hashed):
    x += corner & 1
    y += corner >> 1 & 1
    z += corner >> 2
    scattered = (x ^ (y * SECOND) ^ (z * THIRD)) & (size - 1)  # a hashed level's size is a power of two
    dense = (x + resolution * (y + resolution * z)) % size
    return tl.where(hashed != 0, scattered, dense).to(tl.int64)


@triton.jit(do_not_specialize=["n", "rows"])
def _walk(tables, local, slots, features, scales, layout, n, rows, BACKWARD: tl.constexpr, LEVELS: tl.constexpr,
          FEATURES: tl.constexpr, WIDE: tl.constexpr, PLACES: tl.constexpr):
    """Features from the tables; backward: from the gradient of features, added to that of the tables."""
    level = tl.program_id(1)
    i = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    used = i < n
    scale = tl.load(scales + level)
    x, u = _cell(local, i, used, 0, scale)
    y, v = _cell(local, i, used, 1, scale)
    z, w = _cell(local, i, used, 2, scale)
    size, resolution = tl.load(layout + 4 * level + 1).to(tl.uint32), tl.load(layout + 4 * level + 2).to(tl.uint32)
    hashed = tl.load(layout + 4 * level + 3)
    first = tl.load(slots + i, mask=used, other=0).to(tl.int64) * rows + tl.load(layout + 4 * level)
    feature = tl.arange(0, WIDE)
    wanted = used[:, None] & (feature < FEATURES)[None, :]
    of_place = features + (i * LEVELS + level)[:, None] * FEATURES + feature[None, :]
    slope = tl.load(of_place, mask=wanted, other=0.0) if BACKWARD else 0.0
    total = tl.zeros([PLACES, WIDE], tl.float32)
    for corner in tl.static_range(8):
        entry = first + _entry(corner, x, y, z, size, resolution, hashed)
        at = tables + entry[:, None] * FEATURES + feature[None, :]
        weight = _weight(corner, u, v, w)[:, None]
        if BACKWARD:
            tl.atomic_add(at, weight * slope, mask=wanted, sem="relaxed")
        else:
            total += weight * tl.load(at, mask=wanted, other=0.0)
    if not BACKWARD:
        tl.store(of_place, total, mask=wanted)
