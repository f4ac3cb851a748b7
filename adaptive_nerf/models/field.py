"""A mixture of experts as one field: which places of a ray are asked, and what colour the ray has.

All samples of a ray, whichever expert they fall to, are composited together; densities are shared out by the weights
of the routing, and so are the features. What lies beyond every box is the backdrop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
OPAQUE = 1 - 2e-4
UNKNOWN = 0.5  # grey, where there should be ground and no photo has shown any: nothing is made up


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

    def march_first(self, rays: Rays, room: int) -> tuple[Rays, Samples]:
        """Whole rays, the first ones, as many as there is room for, but at least one; and their samples, centred."""
        bounds = self.regions.bounds
        longest = math.ceil(math.dist(bounds[:3], bounds[3:]) / self.step) + 1
        samples = self.march(rays, room, most=longest)
        fitting = int((~samples.dropped).sum())  # once one is dropped, all after it are
        if fitting == 0:
            rays, fitting = _first(rays, 1), 1
            samples = self.march(rays, longest * len(self.experts), most=longest)
        return _first(rays, fitting), replace(samples, offsets=samples.offsets[:fitting + 1],
                                              dropped=samples.dropped[:fitting], following=samples.following[:fitting])

    def encode(self, samples: Samples, sink: TableGradients | None = None) -> Tensor:
        """[n, levels, features]"""
        return self.engine.encode(self.parameters.tables, samples.local, samples.slots, self.architecture.grid, sink)


def _first(rays: Rays, count: int) -> Rays:
    return replace(rays, origins=rays.origins[:count], directions=rays.directions[:count])


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


def radiance(field: Field, rays: Rays, samples: Samples, features: Tensor | None = None, codes: Tensor | None = None,
             guard: Guard | None = None, sink: TableGradients | None = None) -> Radiance:
    """Colours of rays from the features of their samples, where somebody has them; else they are encoded here.

    codes [n_rays, code]: of the photos, where the architecture has them. The sink takes the gradient of the tables.
    """
    directions = _seen_from(field, rays, codes)
    full_from = 0.0 if guard is None else guard.full_from
    if field.architecture.deferred and len(field.parameters.heads) == 1:
        composited = _blended(field, samples, features, full_from, sink)
        colours = composited.image[:, :1] * field.engine.colour(field.parameters.heads, composited.image, directions,
                                                                None, field.architecture.colour_head)
    else:
        features = field.encode(samples, sink) if features is None else features
        composite = _own_heads if field.architecture.deferred else _composite_each
        colours, composited = composite(field, samples, features, directions, full_from)
    opacity = composited.image[:, 0]
    if guard is None:
        background = _seen_behind(field, rays, directions, opacity)
    else:
        background = _backdrop(field, rays, directions, guard.floor)
    return Radiance(colours + (1 - opacity[:, None]) * background, opacity, composited)


def _seen_behind(field: Field, rays: Rays, directions: Tensor, opacity: Tensor) -> Tensor:
    """Of what is opaque nobody sees what is behind: there it is black. -> [n_rays, 3]"""
    background = opacity.new_zeros(len(opacity), 3)
    if field.architecture.background is None:
        return background
    open_rays = (opacity < OPAQUE).nonzero()[:, 0]
    floor = opacity.new_full((len(open_rays), 3), UNKNOWN)
    seen = _backdrop(field, rays.some(open_rays), directions.index_select(0, open_rays), floor)
    return background.index_copy(0, open_rays, seen)


def _backdrop(field: Field, rays: Rays, directions: Tensor, floor: Tensor) -> Tensor:
    """`floor` behind rays that leave the boxes downwards (of a flight over a city nearly all), else the backdrop.
    -> [n_rays, 3]"""
    beside = (~leaves_downwards(rays, field.regions)).nonzero()[:, 0]
    harmonics = directions.index_select(0, beside)[:, :DIRECTION].contiguous()
    colours = behind(field.engine, field.parameters.background, field.architecture.background, rays.some(beside),
                     (harmonics, field.regions))
    return floor.index_copy(0, beside, colours)


def _seen_from(field: Field, rays: Rays, codes: Tensor | None) -> Tensor:
    harmonics = field.engine.spherical_harmonics(rays.directions)
    length = field.architecture.code_length
    if not length:
        return harmonics
    codes = harmonics.new_zeros(len(harmonics), length) if codes is None else codes
    return torch.cat([harmonics, codes], 1)


Composite = tuple[Tensor, Composited]


def _blended(field: Field, samples: Samples, features: Tensor | None, full_from: float,
             sink: TableGradients | None) -> Composited:
    """Densities and features of the places, composited along rays: the colour head is called once a ray."""
    engine, parameters, shape = field.engine, field.parameters, field.architecture
    if features is None:
        return engine.blend(parameters.tables, parameters.trunks, samples, (shape.grid, shape.trunk), sink,
                            full_from=full_from)
    return engine.composite(engine.trunk(parameters.trunks, features, samples.slots, shape.trunk), samples,
                            full_from=full_from)


def _own_heads(field: Field, samples: Samples, features: Tensor, directions: Tensor, full_from: float) -> Composite:
    """Every expert's part of a ray goes through its own head; what the heads say is weighed by the parts' opacity.

    A head is shown its part as if the whole ray were its expert's: half a share of a place is no half-seen place.
    """
    parameters, shape = field.parameters, field.architecture
    places = field.engine.trunk(parameters.trunks, features, samples.slots, shape.trunk)  # [n, 16]
    n_heads, n_rays = len(parameters.heads), len(directions)
    mine = torch.nn.functional.one_hot(samples.slots.long(), n_heads).to(places.dtype)  # [n, n_heads]
    part = torch.cat([torch.ones_like(places[:, :1]), places[:, 1:]], 1)
    channels = (mine[:, :, None] * part[:, None]).flatten(1)
    composited = field.engine.composite(torch.cat([places[:, :1], channels], 1), samples, full_from=full_from)
    parts = composited.image[:, 1:].view(n_rays, n_heads, GEOMETRY)
    share = parts[..., :1]
    whole = parts * (composited.image[:, None, :1] / share.clamp(min=SMALLEST_SHARE))
    by_head = whole.transpose(0, 1).reshape(-1, GEOMETRY)
    slots = torch.arange(n_heads, dtype=torch.int32, device=places.device).repeat_interleave(n_rays)
    colours = field.engine.colour(parameters.heads, by_head, directions.repeat(n_heads, 1), slots, shape.colour_head)
    return (share.transpose(0, 1) * colours.view(n_heads, n_rays, 3)).sum(0), composited


def _composite_each(field: Field, samples: Samples, features: Tensor, directions: Tensor,
                    full_from: float) -> Composite:
    """The colour head for every sample."""
    parameters, shape = field.parameters, field.architecture
    values = field.engine.field(parameters.trunks, parameters.heads, features, directions, samples,
                                (shape.trunk, shape.colour_head))
    composited = field.engine.composite(values, samples, full_from=full_from)
    return composited.image[:, 1:], composited
