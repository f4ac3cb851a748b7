"""A new model for a scene and its partition; and one that is there, to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.engine.samples import Regions
from adaptive_nerf.jobs.spec import Train
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.models.field import Field
from adaptive_nerf.models.model import Model
from adaptive_nerf.models.occupancy import CELLS_ALONG_LONGEST_SIDE, OccupancyGrids
from adaptive_nerf.models.parameters import initial
from adaptive_nerf.pipelines.agreement import architecture_of
from adaptive_nerf.pipelines.asked import as_asked, finest_step
from adaptive_nerf.pipelines.joint import MOST_RAYS, Sampling
from adaptive_nerf.pipelines.opening import scene_id

STRETCH, LONGEST_STRETCH = 8.0, 16.0


def regions_of(partition: Partition, boundary_margin: float | None, routing: str) -> Regions:
    margin = partition.boundary_margin if boundary_margin is None else \
        min(max(1.0, boundary_margin), partition.boundary_margin)
    boxes = tuple(tuple(map(float, (*box.low, *box.high))) for box in partition.boxes)
    axes = (1, 2) if partition.cluster_2d else (0, 1, 2)
    return Regions(boxes, tuple(tuple(map(float, place)) for place in partition.centroids), max(1.0, margin), axes,
                   "inverse" if routing == "inverse" else "smooth")


def to_be_trained(model: Model, spec: Train, partition: Partition) -> Model:
    """A model that is there, to be trained on as the job says; what it says nothing of stays."""
    asked = as_asked(model, spec, partition.boundary_margin)
    sampling = Sampling(**model.training["sampling"])
    if "ray_samples" in spec.model_fields_set:
        bounds = asked.field.regions.bounds
        sampling.finest = finest_step(bounds[3] - bounds[0], spec.ray_samples)
        sampling.stretch = asked.field.step / sampling.finest
    sampling.fill_up_to(spec.samples, asked.field.parameters.device)
    sampling.most_rays = spec.rays or MOST_RAYS
    return replace(asked, training={**model.training, "sampling": sampling.to_json()})


def fresh_model(spec: Train, scene: Scene, partition: Partition, photo_ids: Sequence[int],
                device: torch.device) -> Model:
    """Random weights, everything taken for occupied."""
    shape, experts = architecture_of(spec), tuple(range(partition.n_experts))
    regions = regions_of(partition, spec.boundary_margin, spec.routing)
    sides = partition.global_box.high - partition.global_box.low
    grids = OccupancyGrids.full(regions, float(sides.max()) / CELLS_ALONG_LONGEST_SIDE, device)
    finest = finest_step(float(sides[0]), spec.ray_samples)
    parameters = initial(shape, experts, spec.seed).map(lambda value: value.to(device))
    field = Field(shape, experts, regions, grids, parameters, finest * STRETCH)
    sampling = Sampling(finest, STRETCH, LONGEST_STRETCH, spec.samples, spec.rays or MOST_RAYS)
    sampling.fill_up_to(spec.samples, device)
    return Model(field, Appearance.of(shape, photo_ids, device), scene.frame, scene_id(scene),
                 training={"sampling": sampling.to_json()})
