"""Places of samples, blended along their rays: encode, trunk and composite in one, with nothing held twice.

What lies between them is nobody else's: so the gradient of the places takes the memory of the places, and that of the
features the memory of the features.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from adaptive_nerf.engine.cpu import checks
from adaptive_nerf.engine.cpu.buffers import by_axis, float32
from adaptive_nerf.engine.cpu.compositing import composited, values_gradient
from adaptive_nerf.engine.cpu.fields import Task, outputs, trunk_gradient_in_place
from adaptive_nerf.engine.cpu.operations import encoded, table_gradient
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import Trunk
from adaptive_nerf.engine.samples import Composited, Samples
from adaptive_nerf.engine.table_gradients import TableGradients
from adaptive_nerf.engine.torch_reference import EARLY_STOP


def blend(tables: Tensor, weights: Tensor, samples: Samples, shapes: tuple[HashGrid, Trunk],
          sink: TableGradients | None = None, full_from: float = 0.0, half: bool = False) -> Composited:
    """Of samples as `march` gives them: rows of a slot together. Their places get no gradient."""
    float32(tables=tables, weights=weights, local=samples.local, t=samples.t, delta=samples.delta)
    checks.tables_of(shapes[0], tables)
    checks.trunk_of(shapes[1], weights, shapes[0].outputs)
    checks.sized("samples.local", samples.local, None, 3)
    return Composited(*_Blend.apply(tables, weights, samples, shapes, sink, (EARLY_STOP, full_from, half)))


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tables, weights, samples, shapes, sink, how):  # type: ignore[no-untyped-def]
        tables, weights = tables.contiguous(), weights.contiguous()
        (grid, trunk), (*how, half) = shapes, how
        local, _stride = by_axis(samples.local)
        features = encoded(tables, local, samples.slots, grid, torch.bfloat16 if half else torch.float32)
        task = Task(samples.slots, trunk, None, half=half)
        places = outputs(task, weights, None, features, None, None)
        found = composited(places, samples, how[0])
        if any(ctx.needs_input_grad):
            ctx.held = task, tables, weights, samples, local, features, places, grid, sink, how
        ctx.mark_non_differentiable(found[2], *found[4:])
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx, image, depth, _median, distortion, _weights, _relative):  # type: ignore[no-untyped-def]
        if ctx.held is None:
            raise RuntimeError("the backward of blend can be run once: it takes the memory of what it was saved; "
                               "call blend again, or encode, trunk and composite")
        task, tables, weights, samples, local, features, places, grid, sink, how = ctx.held
        ctx.held = None
        values_gradient(places, samples, how, (image, depth, distortion), places)
        for_weights = trunk_gradient_in_place(task, weights, features, places)
        for_tables = None
        if ctx.needs_input_grad[0] and sink is not None:
            sink.add(local, samples.slots, features)
        elif ctx.needs_input_grad[0]:
            for_tables = table_gradient(tables, local, samples.slots, features, grid)
        return for_tables, for_weights, None, None, None, None
