"""A mixture of experts as one field: which places of a ray are asked, and what colour the ray has.

All samples of a ray, whichever expert they fall to, are composited together; densities are shared out by the weights
of the routing, and so are the features. What lies beyond every box is the backdrop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adaptive_nerf.engine.engines import Engine, engine
from adaptive_nerf.engine.network import DIRECTION, GEOMETRY
from adaptive_nerf.engine.samples import Composited, Rays, Regions, Samples, Stepping
from adaptive_nerf.engine.table_gradients import TableGradients
from adaptive_nerf.models.architecture import Architecture
from adaptive_nerf.models.backdrop import behind, leaves_downwards
from adaptive_nerf.models.occupancy import OccupancyGrids
from adaptive_nerf.models.parameters import FieldParameters

SMALLEST_SHARE = 1e-10


@dataclass(frozen=True)
class Field:
    architecture: Architecture
    experts: tuple[int, ...]  # by slot: the ids of the loaded experts
    regions: Regions
    grids: OccupancyGrids
    parameters: FieldParameters
    step: float  # along a ray, scene units

    @property
    def engine(self) -> Engine:
        return engine(self.parameters.device)

    def march(self, rays: Rays, capacity: int, key: int | None = None, most: int = 1024) -> Samples:
        """The samples of rays, in order of the rays until the capacity is reached; drawn by the key, else centred."""
        stepping = Stepping(self.step, key, most)
        return self.engine.march(rays, self.regions, self.grids.occupancy, stepping, capacity).trimmed()

    def encode(self, samples: Samples, sink: TableGradients | None = None) -> Tensor:
        """[n, levels, features]"""
        return self.engine.encode(self.parameters.tables, samples.local, samples.slots, self.architecture.grid, sink)


@dataclass(frozen=True)
class Radiance:
    colours: Tensor  # [n_rays, 3] over the background, before a photo's appearance
    opacity: Tensor  # [n_rays]
    composited: Composited


@dataclass(frozen=True)
class Guard:
    """What keeps training from explaining photos by what is not there."""

    floor: Tensor  # [n_rays, 3] behind rays that leave downwards: the ground is there, it is not painted on a backdrop
    full_from: float  # distance from which on a sample's gradient counts in full; nearer ones by the square of theirs


class _Damped(torch.autograd.Function):
    """Lets values through, and multiplies their gradient. [n, channels], [n]"""

    @staticmethod
    def forward(ctx, values, factors):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(factors)
        return values.view_as(values)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (factors,) = ctx.saved_tensors
        return gradient * factors[:, None], None


def radiance(field: Field, rays: Rays, samples: Samples, features: Tensor, codes: Tensor | None = None,
             guard: Guard | None = None) -> Radiance:
    """Colours of rays from the features of their samples.

    codes [n_rays, code]: of the photos, where the architecture has them.
    """
    directions = _seen_from(field, rays, codes)
    composite = _composite_deferred if field.architecture.deferred else _composite_each
    colours, composited = composite(field, samples, features, directions, guard)
    opacity = composited.image[:, 0]
    shape = field.architecture.background
    background = behind(field.engine, field.parameters.background, shape, rays,
                        (directions[:, :DIRECTION].contiguous(), field.regions))
    if guard is not None:
        background = torch.where(leaves_downwards(rays, field.regions)[:, None], guard.floor, background)
    return Radiance(colours + (1 - opacity[:, None]) * background, opacity, composited)


def _seen_from(field: Field, rays: Rays, codes: Tensor | None) -> Tensor:
    harmonics = field.engine.spherical_harmonics(rays.directions)
    length = field.architecture.code_length
    if not length:
        return harmonics
    codes = harmonics.new_zeros(len(harmonics), length) if codes is None else codes
    return torch.cat([harmonics, codes], 1)


Composite = tuple[Tensor, Composited]


def _damped(values: Tensor, samples: Samples, guard: Guard | None) -> Tensor:
    """A camera's own rays lie close together before it: without this, specks there explain its photo first."""
    if guard is None or guard.full_from <= 0:
        return values
    damped: Tensor = _Damped.apply(values, (samples.t / guard.full_from).clamp(max=1).square())
    return damped


def _composite_deferred(field: Field, samples: Samples, features: Tensor, directions: Tensor,
                        guard: Guard | None) -> Composite:
    """The colour head once a ray, on features composited along it."""
    engine, parameters, shape = field.engine, field.parameters, field.architecture
    places = engine.trunk(parameters.trunks, features, samples.slots, shape.trunk)  # [n, 16]
    places = _damped(places, samples, guard)
    if len(parameters.heads) == 1:
        composited = engine.composite(places, samples)
        colours = engine.colour(parameters.heads, composited.image, directions, None, shape.colour_head)
        return composited.image[:, :1] * colours, composited
    return _own_heads(field, samples, places, directions)


def _own_heads(field: Field, samples: Samples, places: Tensor, directions: Tensor) -> Composite:
    """Every expert's part of a ray goes through its own head; what the heads say is weighed by the parts' opacity.

    A head is shown its part as if the whole ray were its expert's: half a share of a place is no half-seen place.
    """
    parameters, shape = field.parameters, field.architecture
    n_heads, n_rays = len(parameters.heads), len(directions)
    mine = torch.nn.functional.one_hot(samples.slots.long(), n_heads).to(places.dtype)  # [n, n_heads]
    part = torch.cat([torch.ones_like(places[:, :1]), places[:, 1:]], 1)
    channels = (mine[:, :, None] * part[:, None]).flatten(1)
    composited = field.engine.composite(torch.cat([places[:, :1], channels], 1), samples)
    parts = composited.image[:, 1:].view(n_rays, n_heads, GEOMETRY)
    share = parts[..., :1]
    whole = parts * (composited.image[:, None, :1] / share.clamp(min=SMALLEST_SHARE))
    by_head = whole.transpose(0, 1).reshape(-1, GEOMETRY)
    slots = torch.arange(n_heads, dtype=torch.int32, device=places.device).repeat_interleave(n_rays)
    colours = field.engine.colour(parameters.heads, by_head, directions.repeat(n_heads, 1), slots, shape.colour_head)
    return (share.transpose(0, 1) * colours.view(n_heads, n_rays, 3)).sum(0), composited


def _composite_each(field: Field, samples: Samples, features: Tensor, directions: Tensor,
                    guard: Guard | None) -> Composite:
    """The colour head for every sample."""
    parameters, shape = field.parameters, field.architecture
    values = field.engine.field(parameters.trunks, parameters.heads, features, directions, samples,
                                (shape.trunk, shape.colour_head))
    composited = field.engine.composite(_damped(values, samples, guard), samples)
    return composited.image[:, 1:], composited
