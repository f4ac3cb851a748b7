"""A model that is there, blended and sampled as a job asks; what the job says nothing of stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adaptive_nerf.jobs.spec import Adapt, Eval, Train, Video, View
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.joint import Sampling

SLANT = 1.5  # how much longer a usual ray is than the box is high
FINER = 4.0  # with occupancy, steps are down to this part of what ray_samples says


def finest_step(height: float, ray_samples: int) -> float:
    """In scene units, as the height of the boxes is."""
    return height * SLANT / (ray_samples * FINER)


def as_asked(model: Model, spec: Train | Adapt | Eval | View | Video, widest_margin: float | None = None) -> Model:
    """`widest_margin`: of the partition, where it is known; else no wider than the model's own."""
    field = model.field
    told: dict[str, Any] = {"routing": spec.routing} if "routing" in spec.model_fields_set else {}
    if spec.boundary_margin is not None:
        widest = field.regions.margin if widest_margin is None else widest_margin
        told["margin"] = max(1.0, min(spec.boundary_margin, widest))
    regions, step = replace(field.regions, **told), field.step
    if "ray_samples" in spec.model_fields_set:
        finest = finest_step(regions.bounds[3] - regions.bounds[0], spec.ray_samples)
        step = min(max(finest, step), finest * Sampling(**model.training["sampling"]).longest)
    return replace(model, field=replace(field, regions=regions, grids=replace(field.grids, regions=regions), step=step))
