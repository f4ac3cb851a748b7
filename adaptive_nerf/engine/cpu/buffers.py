"""How tensors lie in memory for the library, and which rows belong to which slot.

Places [n, 3] lie axis by axis, features [n, levels, features] level by level: as views with such strides. What comes
with other strides is copied; everything that the engine itself makes comes right.
"""

import contextlib
import ctypes
import functools
import math
import mmap
import weakref
from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

from adaptive_nerf.engine.cpu.library import Level, Piece, Shape, library
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import Network

PIECES = 32  # into which work is cut, about; more than any number of threads that it matters for
SHORTEST = 384  # rows
LARGE = 16 << 20  # bytes; what is larger, the C library would take from the system and give back every time
_spare: deque[mmap.mmap] = deque(maxlen=3)  # large memory that nobody uses; about what one step takes


class Unsorted(Exception):
    """The slots of the rows change too often."""


class Pieces(NamedTuple):
    data: ctypes.Array
    count: int


def pieces(slots: Tensor | None, n_slots: int, n: int, longest: int | None = None) -> Pieces:
    """Rows of one slot each. A single slot is not looked at."""
    usual = max(SHORTEST, -(-n // (PIECES * SHORTEST)) * SHORTEST)
    longest = longest or usual
    room = n // usual + 8 * n_slots + 16  # the same for whoever asks: what a forward took, its backward takes
    data = (Piece * room)()
    pointer = None
    if n_slots > 1:
        if slots is None or len(slots) < n:
            raise ValueError(f"{n_slots} slots are loaded: each of the {n} rows has to name its own")
        if slots.dtype != torch.int32 or not slots.is_contiguous():
            slots = slots.to(torch.int32).contiguous()
        pointer = slots.data_ptr()
    count = library().cut_pieces(pointer, n, n_slots, longest, data, room)
    if count == -2:
        raise ValueError(f"a slot is not in 0 to {n_slots - 1}")
    if count < 0:
        raise Unsorted
    return Pieces(data, count)


def by_axis(places: Tensor) -> tuple[Tensor, int]:
    """The places axis by axis, and the numbers from one axis to the next. [n, 3]"""
    if places.stride(0) != 1 or places.stride(1) < len(places):
        places = torch.stack(places.unbind(1)).t()  # five times as fast as a contiguous transpose
    return places, places.stride(1)


def by_level(features: Tensor) -> tuple[Tensor, int]:
    """The features level by level, and the numbers from one level to the next. [n, levels, features]"""
    n, _, width = features.shape
    if features.stride(2) != 1 or features.stride(0) != width or features.stride(1) < n * width:
        features = new_features(*features.shape, features.dtype).copy_(features)
    return features, features.stride(1)


def new_features(n: int, n_levels: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """[n, levels, features], level by level"""
    return large((n_levels, n, width), dtype).permute(1, 0, 2)


def large(size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Of any content. Large memory serves again: a page that the system gives costs more than what is written to it."""
    n_bytes = math.prod(size) * dtype.itemsize
    if n_bytes < LARGE:
        return torch.empty(size, dtype=dtype)
    block = _fitting(n_bytes)
    view = memoryview(block)
    weakref.finalize(view, _spare.append, block).atexit = False  # when the last tensor over it is gone
    return torch.frombuffer(view, dtype=dtype, count=math.prod(size)).view(size)


def _fitting(n_bytes: int) -> mmap.mmap:
    for block in sorted(tuple(_spare), key=len):
        if n_bytes <= len(block) <= 2 * n_bytes:
            with contextlib.suppress(ValueError):  # another thread was faster
                _spare.remove(block)
                return block
    with contextlib.suppress(OSError):
        return _from_the_system(n_bytes)
    _spare.clear()
    try:
        return _from_the_system(n_bytes)
    except OSError as error:
        raise MemoryError(f"the system has no {n_bytes >> 20} MiB for the engine") from error


def _from_the_system(n_bytes: int) -> mmap.mmap:
    return mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def is_half(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dtype == torch.bfloat16


def float32(**tensors: Tensor | None) -> None:
    """Refuses what the library cannot read."""
    for name, tensor in tensors.items():
        if tensor is not None and (tensor.dtype != torch.float32 or tensor.device.type != "cpu"):
            raise ValueError(f"the cpu engine takes float32 on the CPU; {name} is {tensor.dtype} on {tensor.device}")


@functools.lru_cache(maxsize=64)
def levels(grid: HashGrid) -> ctypes.Array:
    return (Level * grid.levels)(*[Level(level.offset, level.size, level.resolution, level.hashed, level.scale, 0)
                                   for level in grid.layout])


@functools.lru_cache(maxsize=64)
def shape(network: Network | None) -> Shape:
    found = Shape()
    if network is not None:
        widths = [network.inputs, *[rows for rows, _ in network.shapes]]
        found.layers = len(widths) - 1
        found.width[:len(widths)] = widths
    return found
