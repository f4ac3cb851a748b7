"""Volume rendering on CUDA: one program walks one ray, a few samples at a time, near to far.

Sums along a ray are in float64: the share of one sample is a difference of two of them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptive_nerf.engine import torch_reference
from adaptive_nerf.engine.samples import Composited, Samples
from adaptive_nerf.engine.torch_reference import EARLY_STOP

ABREAST = 32  # samples


def composite(values: Tensor, samples: Samples, stop: float = EARLY_STOP, full_from: float = 0.0) -> Composited:
    if values.dtype != torch.float32:
        return torch_reference.composite(values, samples, stop, full_from)
    *parts, weights, largest = _Composite.apply(values, samples, stop, full_from)
    return Composited(*parts, weights, weights / largest[samples.rays.long()] if len(largest) else weights)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, samples, stop, full_from):  # type: ignore[no-untyped-def]
        values = values.contiguous()
        n_rays, channels = len(samples.offsets) - 1, values.shape[1]
        image, rest = values.new_empty(n_rays, channels), values.new_empty(4, n_rays)
        weights = values.new_zeros(len(values))
        if n_rays:
            _forward[(n_rays,)](*_along(samples), values, stop, image, *rest, weights, channels,
                                triton.next_power_of_2(channels), ABREAST, num_warps=1)
        depth, median, distortion, largest = rest
        ctx.samples, ctx.how = samples, (stop, full_from)
        ctx.save_for_backward(values)
        ctx.mark_non_differentiable(median, weights, largest)
        ctx.set_materialize_grads(False)
        return image, depth, median, distortion, weights, largest

    @staticmethod
    @once_differentiable
    def backward(ctx, image, depth, _median, distortion, _weights, _largest):  # type: ignore[no-untyped-def]
        (values,) = ctx.saved_tensors
        found, n_rays, channels = torch.zeros_like(values), len(ctx.samples.offsets) - 1, values.shape[1]
        if n_rays:
            image = values.new_zeros(n_rays, channels) if image is None else image.contiguous()
            depth, distortion = (None if part is None else part.contiguous() for part in (depth, distortion))
            _backward[(n_rays,)](*_along(ctx.samples), values, *ctx.how, image, depth, distortion, found, channels,
                                 triton.next_power_of_2(channels), ABREAST, num_warps=1)
        return found, None, None, None


def _along(samples: Samples) -> tuple[Tensor, ...]:
    return samples.offsets, samples.order, samples.t, samples.delta


@triton.jit
def _opaque(thickness):
    """1 - exp(-thickness), exact for thin ones too."""
    x = thickness
    thin = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))))
    return tl.where(x < 0.25, thin, 1 - tl.exp(-x))


@triton.jit
def _samples(order, t, delta, values, at, end, before, stop, CHANNELS: tl.constexpr):
    """Of the samples at these places of a ray: row, whether there is one, t, delta, transmittance, weight; and the
    thickness up to and with them, whose sum before them is `before`."""
    used = at < end
    row = tl.load(order + at, mask=used, other=0).to(tl.int64)
    near, step = tl.load(t + row, mask=used, other=0.0), tl.load(delta + row, mask=used, other=0.0)
    thickness = tl.load(values + row * CHANNELS, mask=used, other=0.0) * step
    exact = thickness.to(tl.float64)
    reached = before + tl.cumsum(exact, 0)
    transmittance = tl.exp(-(reached - exact).to(tl.float32))
    seen = tl.where(used, transmittance, 0.0) > stop
    weight = tl.where(seen, transmittance * _opaque(thickness), 0.0)
    return row, used, seen, near, step, transmittance, weight, tl.sum(exact, 0)


@triton.jit
def _forward(offsets, order, t, delta, values, stop, image, depths, medians, distortions, largests, weights,
             CHANNELS: tl.constexpr, WIDE: tl.constexpr, ABREAST: tl.constexpr):
    ray = tl.program_id(0).to(tl.int64)
    begin, end = tl.load(offsets + ray), tl.load(offsets + ray + 1)
    channel = tl.arange(0, WIDE)
    picture = tl.zeros([WIDE], tl.float32)
    none = tl.full([], 0.0, tl.float64)
    thick, light, moment, distortion = none, none, none, none
    median, largest = tl.full([], float("inf"), tl.float32), tl.full([], 0.0, tl.float32)
    for start in range(begin, end, ABREAST):
        row, used, seen, near, step, transmittance, weight, more = _samples(
            order, t, delta, values, start + tl.arange(0, ABREAST), end, thick, stop, CHANNELS)
        thick += more
        tl.store(weights + row, weight, mask=used)
        shown = tl.load(values + row[:, None] * CHANNELS + channel[None, :],
                        mask=seen[:, None] & (channel < CHANNELS)[None, :], other=0.0)
        picture += tl.sum(weight[:, None] * tl.where(channel[None, :] == 0, 1.0, shown), 0)
        half = tl.where(used, transmittance - weight, 1.0) < 0.5
        median = tl.minimum(median, tl.min(tl.where(half, near, float("inf")), 0))
        largest = tl.maximum(largest, tl.max(weight, 0))
        w, wt = weight.to(tl.float64), weight.to(tl.float64) * near
        gap = near * (light + tl.cumsum(w, 0) - w) - (moment + tl.cumsum(wt, 0) - wt)
        distortion += tl.sum(2 * w * gap + w * w * step / 3, 0)
        light += tl.sum(w, 0)
        moment += tl.sum(wt, 0)
    tl.store(image + ray * CHANNELS + channel, picture, mask=channel < CHANNELS)
    tl.store(depths + ray, moment.to(tl.float32))
    tl.store(medians + ray, median)
    tl.store(distortions + ray, distortion.to(tl.float32))
    tl.store(largests + ray, tl.maximum(largest, 1e-10))


@triton.jit
def _worth(row, seen, near, step, weight, values, picture, of_depth, of_distortion, sums, CHANNELS: tl.constexpr,
           WIDE: tl.constexpr):
    """What the loss gains by the weight of each sample. `sums`: of weights and of weight * t, before these samples and
    of the whole ray."""
    channel = tl.arange(0, WIDE)
    shown = tl.load(values + row[:, None] * CHANNELS + channel[None, :],
                    mask=seen[:, None] & (channel < CHANNELS)[None, :], other=0.0)
    worth = tl.sum(picture[None, :] * tl.where(channel[None, :] == 0, 1.0, shown), 1) + of_depth * near
    light, moment, all_light, all_moment = sums
    w, wt = weight.to(tl.float64), weight.to(tl.float64) * near
    light, moment = light + tl.cumsum(w, 0), moment + tl.cumsum(wt, 0)  # with the sample itself
    gap = near * (2 * light - w - all_light) - (2 * moment - wt - all_moment)  # the sum of weight * distance to it
    return worth.to(tl.float64) + of_distortion * (2 * gap + 2 * w * step / 3)


@triton.jit
def _backward(offsets, order, t, delta, values, stop, full_from, image, depths, distortions, found,
              CHANNELS: tl.constexpr, WIDE: tl.constexpr, ABREAST: tl.constexpr):
    ray = tl.program_id(0).to(tl.int64)
    begin, end = tl.load(offsets + ray), tl.load(offsets + ray + 1)
    channel = tl.arange(0, WIDE)
    picture = tl.load(image + ray * CHANNELS + channel, mask=channel < CHANNELS, other=0.0)
    of_depth = tl.load(depths + ray) if depths is not None else 0.0
    of_distortion = tl.load(distortions + ray) if distortions is not None else 0.0
    none = tl.full([], 0.0, tl.float64)
    thick, all_light, all_moment = none, none, none
    for start in range(begin, end, ABREAST):
        _, _, _, near, _, _, weight, more = _samples(
            order, t, delta, values, start + tl.arange(0, ABREAST), end, thick, stop, CHANNELS)
        thick += more
        all_light += tl.sum(weight.to(tl.float64), 0)
        all_moment += tl.sum(weight.to(tl.float64) * near, 0)
    thick, light, moment, behind = none, none, none, none
    for start in range(begin, end, ABREAST):
        row, _, seen, near, step, _, weight, more = _samples(
            order, t, delta, values, start + tl.arange(0, ABREAST), end, thick, stop, CHANNELS)
        worth = _worth(row, seen, near, step, weight, values, picture, of_depth, of_distortion,
                       (light, moment, all_light, all_moment), CHANNELS, WIDE)
        thick += more
        light += tl.sum(weight.to(tl.float64), 0)
        moment += tl.sum(weight.to(tl.float64) * near, 0)
        behind += tl.sum(weight * worth, 0)
    thick, light, moment = none, none, none
    for start in range(begin, end, ABREAST):
        row, _, seen, near, step, transmittance, weight, more = _samples(
            order, t, delta, values, start + tl.arange(0, ABREAST), end, thick, stop, CHANNELS)
        worth = _worth(row, seen, near, step, weight, values, picture, of_depth, of_distortion,
                       (light, moment, all_light, all_moment), CHANNELS, WIDE)
        hidden = behind - tl.cumsum(weight * worth, 0)  # what lies behind a sample, and shows less of itself
        of_density = ((transmittance - weight) * worth - hidden).to(tl.float32) * step
        slope = tl.where(channel[None, :] == 0, of_density[:, None], weight[:, None] * picture[None, :])
        if full_from > 0:
            share = tl.minimum(near / full_from, 1.0)
            slope *= (share * share)[:, None]
        tl.store(found + row[:, None] * CHANNELS + channel[None, :], slope,
                 mask=seen[:, None] & (channel < CHANNELS)[None, :])
        thick += more
        light += tl.sum(weight.to(tl.float64), 0)
        moment += tl.sum(weight.to(tl.float64) * near, 0)
        behind -= tl.sum(weight * worth, 0)
