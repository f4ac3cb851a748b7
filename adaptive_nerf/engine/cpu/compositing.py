"""Volume rendering by the library, and what the rays met."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptive_nerf.engine.cpu import checks, pool
from adaptive_nerf.engine.cpu.buffers import float32
from adaptive_nerf.engine.cpu.library import CompositeArgs, SurfaceArgs, groups_of_rays, library
from adaptive_nerf.engine.samples import Composited, Samples, Surfaces
from adaptive_nerf.engine.torch_reference import EARLY_STOP


def composite(values: Tensor, samples: Samples, stop: float = EARLY_STOP, full_from: float = 0.0) -> Composited:
    float32(values=values, t=samples.t, delta=samples.delta)
    checks.sized("values", values, None, None)
    return Composited(*_Composite.apply(values, samples, (stop, full_from)))


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, samples, how):  # type: ignore[no-untyped-def]
        values = values.contiguous()
        found = composited(values, samples, how[0])
        ctx.save_for_backward(values)
        ctx.samples, ctx.how = samples, how
        ctx.mark_non_differentiable(found[2], *found[4:])
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx, image, depth, _median, distortion, _weights, _relative):  # type: ignore[no-untyped-def]
        (values,) = ctx.saved_tensors
        found = torch.empty_like(values)
        values_gradient(values, ctx.samples, ctx.how, (image, depth, distortion), found)
        return found, None, None


def composited(values: Tensor, samples: Samples, stop: float) -> tuple[Tensor, ...]:
    """Image, depth, median, distortion, weights, relative."""
    n_rays, width, used = len(samples.offsets) - 1, values.shape[1], checks.rows_in_use(samples, len(values))
    image, rest = torch.empty(n_rays, width), torch.empty(3, n_rays)
    rows = torch.empty(2, len(values))
    rows[:, used:] = 0
    args = _arguments(values, samples, stop)
    args.image, args.weights, args.relative = image.data_ptr(), rows[0].data_ptr(), rows[1].data_ptr()
    args.depth, args.median, args.distortion = (part.data_ptr() for part in rest)
    pool.run(library().composite, args, groups_of_rays(n_rays))
    return image, *rest.unbind(), *rows.unbind()


def values_gradient(values: Tensor, samples: Samples, how: tuple[float, float], given: tuple[Tensor | None, ...],
                    into: Tensor) -> None:
    """From the gradients of image, depth, distortion. `how`: stop, full_from; `into` may be the values themselves."""
    n_rays = len(samples.offsets) - 1
    into[int(samples.offsets[-1]):] = 0
    image, depth, distortion = (None if part is None else part.contiguous() for part in given)
    image = torch.zeros(n_rays, values.shape[1]) if image is None else image
    args = _arguments(values, samples, *how)
    args.image_gradient, args.values_gradient = image.data_ptr(), into.data_ptr()
    args.depth_gradient, args.distortion_gradient = (None if part is None else part.data_ptr()
                                                     for part in (depth, distortion))
    pool.run(library().composite_backward, args, groups_of_rays(n_rays))


def _arguments(values: Tensor, samples: Samples, stop: float, full_from: float = 0.0):  # type: ignore[no-untyped-def]
    return CompositeArgs(n_rays=len(samples.offsets) - 1, width=values.shape[1], offsets=samples.offsets.data_ptr(),
                         order=samples.order.data_ptr(), t=samples.t.data_ptr(), delta=samples.delta.data_ptr(),
                         values=values.data_ptr(), stop=stop, full_from=full_from)


def surfaces(samples: Samples, composited: Composited, window: float, n_slots: int) -> Surfaces:
    n_rays = len(composited.median)
    checks.rows_in_use(samples, len(composited.weights))
    checks.sized("samples.offsets", samples.offsets, n_rays + 1)
    checks.plain("samples.slots", samples.slots, torch.int32)
    checks.plain("weights", composited.weights, torch.float32)
    checks.plain("median", composited.median, torch.float32)
    distance, leading = torch.empty(n_rays), torch.empty(n_rays, dtype=torch.int32)
    args = SurfaceArgs(n_rays=n_rays, n_slots=n_slots, offsets=samples.offsets.data_ptr(),
                       order=samples.order.data_ptr(), slots=samples.slots.data_ptr(), t=samples.t.data_ptr(),
                       weights=composited.weights.data_ptr(), median=composited.median.data_ptr(), window=window,
                       distance=distance.data_ptr(), leading=leading.data_ptr())
    pool.run(library().surfaces, args, groups_of_rays(n_rays))
    return Surfaces(distance, leading)
