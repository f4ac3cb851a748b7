"""Density trunk, colour head and both together, by the library; the activations are computed anew in the backward."""

import ctypes
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptive_nerf.engine.cpu import checks, pool
from adaptive_nerf.engine.cpu.buffers import (
    Pieces,
    Unsorted,
    by_level,
    float32,
    is_half,
    new_features,
    pieces,
    shape,
)
from adaptive_nerf.engine.cpu.library import FieldArgs, library
from adaptive_nerf.engine.network import GEOMETRY, Network, Trunk
from adaptive_nerf.engine.samples import Samples


@dataclass(frozen=True)
class Task:
    """What is not differentiated."""

    slots: Tensor | None  # [n]; None: a single slot
    trunk: Trunk | None
    head: Network | None
    rays: Tensor | None = None  # [n] rows of the directions
    half: bool = False  # networks in bfloat16, sums in float32

    @property
    def outputs(self) -> int:
        return GEOMETRY if self.head is None else 3 if self.trunk is None else 4


def trunk(weights: Tensor, features: Tensor, slots: Tensor, shape: Trunk, half: bool = False) -> Tensor:
    checks.trunk_of(shape, weights, features.shape[1:].numel())
    return _run(Task(slots, shape, None, half=half), weights, None, features, None, None)


def colour(weights: Tensor, place: Tensor, directions: Tensor, slots: Tensor | None, shape: Network,
           half: bool = False) -> Tensor:
    checks.head_of(shape, weights, directions)
    checks.sized("place", place, None, GEOMETRY)
    checks.sized("directions", directions, len(place), None)
    return _run(Task(slots, None, shape, half=half), None, weights, None, place, directions)


def field(trunk_weights: Tensor, colour_weights: Tensor, features: Tensor, directions: Tensor, samples: Samples,
          shapes: tuple[Trunk, Network], half: bool = False) -> Tensor:
    n = len(features)
    checks.trunk_of(shapes[0], trunk_weights, features.shape[1:].numel(), "trunk_weights")
    checks.head_of(shapes[1], colour_weights, directions, "colour_weights")
    if len(colour_weights) not in (1, len(trunk_weights)):
        raise ValueError(f"colour_weights has {len(colour_weights)} rows; there has to be one, or one a slot")
    checks.plain("samples.rays", samples.rays, torch.int32)
    n_rays = len(samples.offsets) - 1
    if min(len(samples.rays), len(samples.slots)) < n or len(directions) < n_rays:
        raise ValueError(f"{n} features and {len(directions)} directions are too many or too few for "
                         f"{len(samples.rays)} samples of {n_rays} rays")
    task = Task(samples.slots[:n], *shapes, samples.rays[:n].contiguous(), half)
    return _run(task, trunk_weights, colour_weights, features, None, directions)


def _run(task: Task, *inputs: Tensor | None) -> Tensor:
    names = ("trunk_weights", "head_weights", "features", "place", "directions")
    float32(**{name: value for name, value in zip(names, inputs, strict=True)
               if name != "features" or not is_half(value)})
    try:
        return _Field.apply(task, *inputs)
    except Unsorted:
        order = torch.argsort(task.slots, stable=True)
        rays = None if task.rays is None else task.rays[order]
        moved = [value if value is None or at < 2 or (at == 4 and rays is not None) else value[order]
                 for at, value in enumerate(inputs)]
        found = _Field.apply(replace(task, slots=task.slots[order], rays=rays), *moved)
        return found[torch.argsort(order)]


class _Field(torch.autograd.Function):
    @staticmethod
    def forward(ctx, task, trunk_weights, head_weights, features, place, directions):  # type: ignore[no-untyped-def]
        inputs = [None if value is None else value.contiguous() for value in (trunk_weights, head_weights)]
        inputs += [None if features is None else by_level(features)[0]]
        inputs += [None if value is None else value.contiguous() for value in (place, directions)]
        ctx.task = task
        ctx.save_for_backward(*inputs)
        return outputs(task, *inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        inputs = ctx.saved_tensors
        trunk_weights, head_weights, features, place, directions = inputs
        args, held = _arguments(ctx.task, *inputs)
        _, wants_trunk, wants_head, wants_features, _, wants_directions = ctx.needs_input_grad
        gradient = gradient.contiguous()
        args.gradient = gradient.data_ptr()
        for_features = for_place = for_directions = None
        if features is not None and wants_features:
            for_features = _features_gradient(args, new_features(*features.shape, features.dtype))
        if place is not None:
            for_place = torch.empty(len(place), GEOMETRY)
            args.place_gradient = for_place.data_ptr()
        if wants_directions:
            for_directions = torch.empty(args.n, directions.shape[1])
            args.directions_gradient = for_directions.data_ptr()
        for_weights = _backward(args, held, trunk_weights if wants_trunk else None,
                                head_weights if wants_head else None)
        if for_directions is not None and ctx.task.rays is not None:
            for_directions = torch.zeros_like(directions).index_add(0, ctx.task.rays, for_directions)
        return None, *for_weights, for_features, for_place, for_directions


def outputs(task: Task, *inputs: Tensor | None) -> Tensor:
    """Of weights of trunk and head, features, places and directions, each where the task has it."""
    args, held = _arguments(task, *inputs)
    out = torch.empty(args.n, task.outputs)
    args.out = out.data_ptr()
    pool.run(library().field_forward, args, held.count)
    return out


def trunk_gradient_in_place(task: Task, weights: Tensor, features: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of a trunk's weights, from that of its outputs [n, 16]; the features become their own gradient."""
    args, held = _arguments(task, weights, None, features, None, None)
    args.gradient = gradient.data_ptr()
    _features_gradient(args, features)
    return _backward(args, held, weights, None)[0]


def _features_gradient(args, into: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    args.features_gradient, args.features_gradient_stride = into.data_ptr(), into.stride(1)
    return into


def _backward(args, held: Pieces, *weights: Tensor | None):  # type: ignore[no-untyped-def]
    """The gradients of the weights of trunk and head; the others go where `args` says."""
    parts = [None if each is None else torch.empty(held.count, each.shape[1]) for each in weights]
    args.trunk_gradient, args.head_gradient = (None if part is None else part.data_ptr() for part in parts)
    pool.run(library().field_backward, args, held.count)
    return [_summed(held, part, each) for part, each in zip(parts, weights, strict=True)]


def _arguments(task: Task, trunk_weights, head_weights, features, place, directions):  # type: ignore[no-untyped-def]
    weights = trunk_weights if trunk_weights is not None else head_weights
    n = len(features if features is not None else place)
    held = pieces(task.slots, len(weights), n)
    args = FieldArgs(n=n, pieces=ctypes.addressof(held.data), n_pieces=held.count, half=task.half)
    if task.trunk is not None:
        args.trunk, args.density_bias = shape(task.trunk.network), task.trunk.density_bias
        args.trunk_weights, args.features = trunk_weights.data_ptr(), features.data_ptr()
        args.n_levels, args.n_features, args.features_stride = features.shape[1], features.shape[2], features.stride(1)
        args.half_features = is_half(features)
    if task.head is not None:
        args.head, args.head_slots = shape(task.head), len(head_weights)
        args.head_weights, args.directions = head_weights.data_ptr(), directions.data_ptr()
        args.directions_width = directions.shape[1]
    if place is not None:
        args.place, args.place_stride = place.data_ptr(), place.stride(0)
    if task.rays is not None:
        args.rays = task.rays.data_ptr()
    return args, held


def _summed(held: Pieces, parts: Tensor | None, weights: Tensor | None) -> Tensor | None:
    if parts is None or weights is None:
        return None
    total = torch.empty_like(weights)
    library().sum_gradients(held.data, held.count, parts.data_ptr(), weights.shape[1], total.data_ptr(), len(weights))
    return total
