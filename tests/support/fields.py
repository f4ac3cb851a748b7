"""Small fields: random ones that look trained, and ones whose density is known at every place.

Four experts lie on a square of ground, 2 x 2 units, with boxes that overlap. X is down, as in every scene; cameras look
down from X = -1 unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptive_nerf.engine.engines import Engine
from adaptive_nerf.engine.samples import Composited, Regions, Samples
from adaptive_nerf.engine.table_gradients import TableGradients
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.models.architecture import Architecture
from adaptive_nerf.models.field import Field
from adaptive_nerf.models.mixture import Mixture
from adaptive_nerf.models.model import Model
from adaptive_nerf.models.occupancy import OccupancyGrids
from adaptive_nerf.models.parameters import FieldParameters, initial

FRAME = SceneFrame((-40.0, 10.0, -20.0), 60.0, (48.2, 16.4, 180.0), (-10.0, 50.0))
NORTH = (0.0, 0.0, -1.0)
HALF_HEIGHT = 0.25
CELL, STEP = 0.05, 0.02


def tiny_architecture(**changes: Any) -> Architecture:
    told = {"levels": 4, "features": 2, "log2_size": 10, "base_resolution": 4, "max_resolution": 32,
            "trunk_width": 16, "head_width": 16, "background_width": 16, "density_bias": 3.0}
    return Architecture(**{**told, **changes})


def ground_regions(side: int = 2, margin: float = 1.2, routing: str = "smooth", overlap: float = 0.6) -> Regions:
    """side x side experts over [-1, 1]^2; each box reaches `overlap` units into its neighbours'."""
    edges = np.linspace(-1, 1, side + 1)
    boxes, centroids = [], []
    for y in range(side):
        for z in range(side):
            low = np.maximum([edges[y] - overlap, edges[z] - overlap], -1)
            high = np.minimum([edges[y + 1] + overlap, edges[z + 1] + overlap], 1)
            boxes.append((-HALF_HEIGHT, *map(float, low), HALF_HEIGHT, *map(float, high)))
            centroids.append((0.0, float(edges[y] + edges[y + 1]) / 2, float(edges[z] + edges[z + 1]) / 2))
    return Regions(tuple(boxes), tuple(centroids), margin, (1, 2), routing)  # type: ignore[arg-type]


def random_parameters(architecture: Architecture, n_experts: int, seed: int = 0) -> FieldParameters:
    """Tables as large as those of a trained field, trunks and heads of each expert's own."""
    generator = torch.Generator().manual_seed(seed)
    start = initial(architecture, range(n_experts), seed)
    return start.map(lambda value: value + (torch.rand(value.shape, generator=generator) - 0.5)
                     * (2.0 if value is start.tables else 0.3))


def random_field(regions: Regions | None = None, seed: int = 0, step: float = STEP, **architecture: Any) -> Field:
    regions, shape = regions or ground_regions(), tiny_architecture(**architecture)
    n_experts = len(regions.boxes)
    return Field(shape, tuple(range(n_experts)), regions, OccupancyGrids.full(regions, CELL),
                 random_parameters(shape, n_experts, seed), step)


Density = Callable[[Tensor], Tensor]  # [n, 3] scene units -> [n], a unit of length


@dataclass(frozen=True)
class KnownField(Field):
    """Its density is a function of the place; the features of all places are alike, or what `look` says."""

    density: Density = lambda places: torch.zeros(len(places))
    look: Callable[[Tensor], Tensor] = lambda places: torch.full((len(places), 15), 0.5)

    @property
    def engine(self) -> Engine:
        return replace(super().engine, trunk=self._trunk, field=self._each, blend_in_one=self._blend)

    def encode(self, samples: Samples, sink: TableGradients | None = None) -> Tensor:
        """The place itself. [n, 1, 3]"""
        lows, sides = (torch.tensor(values) for values in ([box[:3] for box in self.regions.boxes],
                                                            self.regions.sides))
        slots = samples.slots.long()
        return (lows[slots] + samples.local * sides[slots][:, None])[:, None]

    def _trunk(self, _weights: Tensor, features: Tensor, _slots: Tensor, _shape: Any) -> Tensor:
        places = features[:, 0]
        return torch.cat([self.density(places)[:, None], self.look(places)], 1)

    def _blend(self, _tables: Tensor, trunks: Tensor, samples: Samples, _shapes: Any, _sink: Any,
               full_from: float) -> Composited:
        places = self._trunk(trunks, self.encode(samples), samples.slots, None)
        return super().engine.composite(places, samples, full_from=full_from)

    def _each(self, _trunks: Tensor, heads: Tensor, features: Tensor, directions: Tensor, samples: Samples,
              shapes: Any) -> Tensor:
        told = self._trunk(heads, features, samples.slots, None)
        inputs, seen = torch.cat([torch.ones_like(told[:, :1]), told[:, 1:]], 1), directions[samples.rays.long()]
        return torch.cat([told[:, :1], super().engine.colour(heads, inputs, seen, samples.slots, shapes[1])], 1)


def known_field(density: Density, regions: Regions | None = None, step: float = STEP, **changes: Any) -> KnownField:
    field = random_field(regions, step=step)
    return KnownField(**vars(field), density=density, **changes)


def ground_at(x: float, thickness: float = 2000.0) -> Density:
    """Solid below x, empty above. X is down."""
    return lambda places: torch.where(places[:, 0] >= x, thickness, 0.0)


def mixture_of(field: Field, **changes: Any) -> Mixture:
    look = Appearance.of(field.architecture, ()).neutral
    return Mixture(field, FRAME, look, "tiny", **changes)


def tiny_model(field: Field | None = None, photo_ids: tuple[int, ...] = (3, 5, 8), seed: int = 0) -> Model:
    """With everything that a checkpoint keeps: looks, occupancy with holes, what was done to it."""
    field = field or random_field(seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    words = field.grids.occupancy.words
    words.copy_(torch.randint(-(2**62), 2**62, words.shape, generator=generator) * 2)
    bare = Appearance.of(field.architecture, photo_ids)
    looks = torch.rand(bare.values.shape, generator=generator) * 0.1
    appearance = replace(bare, values=looks, neutral=looks.mean(0))
    steps = dict.fromkeys(field.experts, 40)
    return Model(field, appearance, FRAME, "scene of the tests", 40, steps, (), {"seed": 7, "began_at": 0})


def camera_over(east: float = 0.0, south: float = 0.0, width: int = 24, height: int = 18, **changes: Any) -> Camera:
    """Looks straight down from X = -1; the whole ground is in view."""
    position = np.array([-1.0, east, south])
    pose = look_at(position, position + np.array([1, 0, 0]), np.array(NORTH))
    focal = 0.5 * width
    camera = Camera(width, height, focal, focal, width / 2, height / 2, pose, FrameName.SCENE, FRAME.metres_per_unit)
    return replace(camera, **changes)


def slanted_camera(width: int = 24, height: int = 18, around: float = 2.4) -> Camera:
    """From a point on a circle, obliquely over all four experts, some sky in it. `around`: radians."""
    position = np.array([-0.8, 1.9 * np.cos(around), 1.9 * np.sin(around)])
    pose = look_at(position, np.array([0.1, 0.2, -0.1]), np.array([-1.0, 0, 0]))
    return Camera(width, height, 0.8 * width, 0.8 * width, width / 2, height / 2, pose, FrameName.SCENE,
                  FRAME.metres_per_unit)


def map_camera(width: int = 20, height: int = 16, pixels_a_metre: float = 0.15) -> Camera:
    """Orthographic, straight down."""
    return camera_over(width=width, height=height, fx=pixels_a_metre, fy=pixels_a_metre, projection="orthographic")
