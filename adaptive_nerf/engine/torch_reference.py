"""The operations in plain torch: any device, any float type, twice differentiable. What every other engine is held to.

Nothing here waits for the device, nothing depends on how many samples are in use. Positions outside [0, 1], and NaN,
are taken to the nearest place inside (NaN to 0), and get no gradient.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from adaptive_nerf.engine.hash_grid import PRIMES, HashGrid, Level
from adaptive_nerf.engine.network import GEOMETRY, Network, Trunk
from adaptive_nerf.engine.samples import Composited, Samples
from adaptive_nerf.engine.table_gradients import TableGradients

EARLY_STOP = 1e-4  # transmittance from which on samples have no weight
DENSEST = 11.0  # largest exponent of a density; beyond it the gradient is zero


class _PutAside(torch.autograd.Function):
    """Lets features through, and puts their gradient into the sink. No double backward for what goes there."""

    @staticmethod
    def forward(ctx, features, tables, local, slots, sink):  # type: ignore[no-untyped-def]
        ctx.sink = sink
        ctx.save_for_backward(local, slots)
        return features.view_as(features)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        ctx.sink.add(*ctx.saved_tensors, gradient)
        return gradient, None, None, None, None


def encode(tables: Tensor, local: Tensor, slots: Tensor, grid: HashGrid, sink: TableGradients | None = None) -> Tensor:
    """Features of places. [n_slots, rows, features], [n, 3] in [0, 1], [n] -> [n, levels, features]

    With a sink, the gradient of the tables goes there, and `tables.grad` stays as it is; `tables` must require one.
    """
    read = tables if sink is None else tables.detach()
    flat, first = read.reshape(-1, grid.features), slots.long() * grid.rows
    inside = torch.nan_to_num(local, nan=0.0).clamp(0, 1)
    features = torch.stack([_interpolated(flat, first, inside, level) for level in grid.layout], 1)
    return features if sink is None else put_aside(features, tables, local, slots, sink)


def put_aside(features: Tensor, tables: Tensor, local: Tensor, slots: Tensor, sink: TableGradients) -> Tensor:
    """The features, whose gradient will go to the sink."""
    return _PutAside.apply(features, tables, local.detach(), slots, sink)


def _interpolated(flat: Tensor, first: Tensor, inside: Tensor, level: Level) -> Tensor:
    position = inside * level.scale + 0.5
    low = position.detach().floor()
    fraction, cell = position - low, low.long()
    total = torch.zeros(len(inside), flat.shape[1], dtype=flat.dtype, device=flat.device)
    for corner in range(8):
        bits = [corner >> axis & 1 for axis in range(3)]
        weight = torch.ones_like(fraction[:, 0])
        for axis, bit in enumerate(bits):
            weight = weight * (fraction[:, axis] if bit else 1 - fraction[:, axis])
        x, y, z = (cell[:, axis] + bit for axis, bit in enumerate(bits))
        if level.hashed:
            index = (x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])
        else:
            index = x + level.resolution * (y + level.resolution * z)
        total = total + weight[:, None].to(flat.dtype) * flat[first + level.offset + index % level.size]
    return total


BySlot = Callable[[Tensor, Tensor, Tensor | None, Network], Tensor]


def network(weights: Tensor, inputs: Tensor, slots: Tensor | None, shape: Network) -> Tensor:
    """A network of each row's slot. [n_slots, n_weights], [n, inputs], [n] -> [n, outputs]"""
    if len(weights) == 1:
        return layers(weights[0], inputs, shape)
    found = torch.zeros(len(inputs), shape.outputs, dtype=inputs.dtype, device=inputs.device)
    for slot in range(len(weights)):  # every slot for every row: nothing to wait for
        found = torch.where((slots == slot)[:, None], layers(weights[slot], inputs, shape), found)
    return found


def layers(weights: Tensor, values: Tensor, shape: Network) -> Tensor:
    *hidden, last = shape.matrices(weights)
    for matrix in hidden:
        values = torch.relu(values @ matrix.T)
    return values @ last.T


def trunk(weights: Tensor, features: Tensor, slots: Tensor, shape: Trunk, network: BySlot = network) -> Tensor:
    """[n_slots, n_weights], [n, levels, features], [n] -> [n, 16]: the density, then 15 features of the place"""
    raw = network(weights, features.flatten(1), slots, shape.network)
    return torch.cat([density(raw[:, :1], shape.density_bias), raw[:, 1:]], 1)


def density(raw: Tensor, bias: float) -> Tensor:
    return torch.exp((raw + bias).clamp(max=DENSEST))


def colour(weights: Tensor, place: Tensor, directions: Tensor, slots: Tensor | None, shape: Network,
           network: BySlot = network) -> Tensor:
    """The colour head once a ray: places [n, 16] (opacity, 15 features), directions [n, 16 + code] -> [n, 3]

    A single row of weights is shared by all slots, and then they need not be given.
    """
    return torch.sigmoid(network(weights, torch.cat([place, directions], 1), slots, shape))


def field(trunk_weights: Tensor, colour_weights: Tensor, features: Tensor, directions: Tensor, samples: Samples,
          shapes: tuple[Trunk, Network], network: BySlot = network) -> Tensor:
    """Density and colour of every sample -> [capacity, 4]

    `directions` [n_rays, 16 + code] are looked up by the ray of the sample. A single row of `colour_weights` is shared
    by all slots.
    """
    slots = samples.slots[:len(features)]
    place = trunk(trunk_weights, features, slots, shapes[0], network)
    seen = directions[samples.rays[:len(features)].long()]
    inputs = torch.cat([torch.ones_like(place[:, :1]), place[:, 1:GEOMETRY], seen], 1)
    return torch.cat([place[:, :1], torch.sigmoid(network(colour_weights, inputs, slots, shapes[1]))], 1)


def nearness(t: Tensor, full_from: float) -> Tensor:
    """What the gradient of samples is multiplied by, so that those before a camera do not explain its photo first.

    A camera's own rays lie close together there. From the distance `full_from` on it is 1.
    """
    return (t / full_from).clamp(max=1).square()


def composite(values: Tensor, samples: Samples, stop: float = EARLY_STOP, full_from: float = 0.0) -> Composited:
    """Volume rendering over ragged rays. values [capacity, 1 + channels]: the density, then what is to be blended.

    `full_from`: from this distance on gradients count in full, see nearness; 0: all do.
    """
    if full_from > 0:
        near = nearness(samples.t, full_from)[:, None]
        values = near * values + ((1 - near) * values).detach()
    offsets, order, n_rays = samples.offsets.long(), samples.order.long(), len(samples.offsets) - 1
    index = torch.arange(len(order), device=values.device)
    used = index < offsets[-1]
    ray = torch.searchsorted(offsets, index, right=True).sub(1).clamp(max=n_rays)  # n_rays: of no ray
    row = torch.where(used, order, 0)
    zero = values.new_zeros(())
    t, delta = torch.where(used, samples.t[row], zero), torch.where(used, samples.delta[row], zero)
    thickness = torch.where(used, values[row, 0], zero) * delta
    transmittance = torch.exp(-_before(thickness, offsets, ray))
    seen = used & (transmittance > stop)
    weight = torch.where(seen, transmittance * -torch.expm1(-thickness), zero)
    blended = torch.cat([torch.ones_like(values[:, :1]), values[:, 1:]], 1)[row]
    image = _per_ray(weight[:, None] * torch.where(seen[:, None], blended, zero), ray, n_rays)
    gap = t * _before(weight, offsets, ray) - _before(weight * t, offsets, ray)
    distortion = _per_ray(2 * weight * gap + weight * weight * delta / 3, ray, n_rays)
    with torch.no_grad():
        half = torch.where(used & (transmittance - weight < 0.5), t, torch.inf)
        median = t.new_full((n_rays + 1,), torch.inf).scatter_reduce(0, ray, half, "amin")[:n_rays]
        largest = t.new_zeros(n_rays + 1).scatter_reduce(0, ray, weight, "amax")[ray].clamp(min=1e-10)
        target = torch.where(used, order, len(order))
        by_row = [t.new_zeros(len(order) + 1).scatter(0, target, value)[:-1] for value in (weight, weight / largest)]
    return Composited(image, _per_ray(weight * t, ray, n_rays), median, distortion, *by_row)


def _before(value: Tensor, offsets: Tensor, ray: Tensor) -> Tensor:
    """The sum over the earlier samples of the same ray; in float64, as it is a difference of long sums.

    What is not finite would stay in the long sums for all rays to come: it is counted instead, and NaN for its own ray.
    """
    finite = value.isfinite()
    strange, first = _running(~finite), offsets[ray]
    running = _running(torch.where(finite, value, 0.0).double())
    return torch.where(strange[:-1] > strange[first], torch.nan, (running[:-1] - running[first]).to(value.dtype))


def _running(value: Tensor) -> Tensor:
    total = value.cumsum(0)
    return torch.cat([total.new_zeros(1), total])


def _per_ray(value: Tensor, ray: Tensor, n_rays: int) -> Tensor:
    return value.new_zeros((n_rays + 1, *value.shape[1:])).index_add(0, ray, value)[:n_rays]
