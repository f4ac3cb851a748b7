"""What the library is about to read or write is looked at first: a wrong shape is one clear line here, and would be a
wild address there. Sizes alone, no content: it costs a few microseconds a call.
"""

import torch
from torch import Tensor

from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import DIRECTION, GEOMETRY, Network, Trunk
from adaptive_nerf.engine.optimise import Moments
from adaptive_nerf.engine.samples import Samples


def sized(name: str, tensor: Tensor, *sizes: int | None) -> None:
    """None: any size."""
    found = tensor.shape
    if len(found) != len(sizes) or any(size not in (None, has) for size, has in zip(sizes, found, strict=True)):
        wanted = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ValueError(f"{name} is of shape {list(found)}; here it has to be [{wanted}]")


def tables_of(grid: HashGrid, tables: Tensor, n_slots: int | None = None) -> None:
    sized("tables", tables, n_slots, grid.rows, grid.features)


def trunk_of(shape: Trunk, weights: Tensor, outputs: int, name: str = "weights") -> None:
    """`outputs`: how many features of a place there are."""
    network = shape.network
    if network.outputs != GEOMETRY:
        raise ValueError(f"the trunk has {network.outputs} outputs; the cpu engine knows {GEOMETRY}")
    if outputs != network.inputs:
        raise ValueError(f"features are {outputs} a place; the trunk takes {network.inputs}")
    sized(name, weights, None, network.n_weights)


def head_of(shape: Network, weights: Tensor, directions: Tensor, name: str = "weights") -> None:
    if shape.outputs != 3 or shape.inputs < GEOMETRY + DIRECTION:
        raise ValueError(f"the colour head is {shape}; it takes at least {GEOMETRY + DIRECTION} inputs and gives 3")
    sized(name, weights, None, shape.n_weights)
    sized("directions", directions, None, shape.inputs - GEOMETRY)


def plain(name: str, tensor: Tensor, dtype: torch.dtype, sizes: tuple[int | None, ...] = (None,)) -> None:
    """In memory one number after the other: it is read or changed where it lies."""
    if tensor.dtype != dtype or not tensor.is_cpu or not tensor.is_contiguous():
        raise ValueError(f"{name} has to be contiguous {dtype} on the CPU; it is {tensor.dtype} on {tensor.device} "
                         f"with strides {tensor.stride()}")
    sized(name, tensor, *sizes)


def rows_in_use(samples: Samples, n: int) -> int:
    """The count of them; `n`: how many rows of values there are."""
    plain("samples.offsets", samples.offsets, torch.int32)
    plain("samples.order", samples.order, torch.int32)
    plain("samples.t", samples.t, torch.float32)
    plain("samples.delta", samples.delta, torch.float32)
    used, there = int(samples.offsets[-1]), min(n, len(samples.order), len(samples.t), len(samples.delta))
    if used > there:
        raise ValueError(f"{used} samples are in use, and there are {there} rows of samples and their values")
    return used


def in_place(values: Tensor, moments: Moments | None, name: str = "values") -> None:
    plain(name, values, torch.float32, tuple(values.shape))
    for which, moment in vars(moments).items() if moments else ():
        plain(f"moments.{which}", moment, torch.float32, tuple(values.shape))
