"""A new model for a scene and its partition; and what a job may not say of a model that is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.engine.samples import Regions
from adaptive_nerf.jobs.spec import Train
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.models.architecture import Architecture
from adaptive_nerf.models.checkpoint import Checkpoint
from adaptive_nerf.models.field import Field
from adaptive_nerf.models.model import Model
from adaptive_nerf.models.occupancy import CELLS_ALONG_LONGEST_SIDE, OccupancyGrids
from adaptive_nerf.models.parameters import initial
from adaptive_nerf.pipelines.asked import as_asked, finest_step
from adaptive_nerf.pipelines.joint import MOST_RAYS, Sampling
from adaptive_nerf.pipelines.opening import scene_id

STRETCH, LONGEST_STRETCH = 8.0, 16.0
OF_SPEC = {  # field of the job -> field of the architecture
    "levels": "levels", "features": "features", "log2_hashmap_size": "log2_size", "max_resolution": "max_resolution",
    "sigma_depth": "trunk_depth", "dim_hidden": "trunk_width", "color_depth": "head_depth",
    "color_hidden": "head_width", "color_head": "head", "deferred_color": "deferred", "density_bias": "density_bias",
    "appearance": "appearance"}


def architecture_of(spec: Train) -> Architecture:
    told = {ours: getattr(spec, theirs) for theirs, ours in OF_SPEC.items()}
    shape = Architecture(**told, background_width=0 if spec.no_bg_nerf else spec.bg_hidden)
    try:
        _ = shape.grid, shape.trunk, shape.colour_head, shape.background
    except ValueError as error:
        raise BadUsage(f"no field can have this shape: {error}") from error
    return shape


def require_agreement(spec: Train, checkpoint: Checkpoint, partition: Partition) -> None:
    """The architecture comes from the checkpoint; what the job says of it must not be something else."""
    stored, wanted = checkpoint.architecture.to_json(), architecture_of(spec).to_json()
    said = {OF_SPEC[name] for name in spec.model_fields_set if name in OF_SPEC}
    if spec.model_fields_set & {"no_bg_nerf", "bg_hidden"}:
        said.add("background_width")
    for name in sorted(said):
        if stored[name] != wanted[name]:
            field = next((theirs for theirs, ours in OF_SPEC.items() if ours == name), "bg_hidden")
            raise BadData(checkpoint.folder, f"has {stored[name]}, the job says {wanted[name]}", key=field,
                          expected="the same; leave the field out to take the checkpoint's")
    require_partition(checkpoint, partition)


def require_partition(checkpoint: Checkpoint, partition: Partition) -> None:
    """The same centroids and the same boxes: experts mean the same places."""
    told = checkpoint.manifest.regions
    boxes = np.array([[*box.low, *box.high] for box in partition.boxes])
    for stored, wanted in ((np.array(told.centroids), partition.centroids), (np.array(told.boxes), boxes)):
        if stored.shape != wanted.shape or not np.allclose(stored, wanted, atol=1e-5):
            raise BadData(checkpoint.folder, f"was trained on another partition than {partition.name}",
                          key="mask_dirname", expected="the partition that it was trained on")


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
    sampling.fill_up_to(spec.samples)
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
    sampling.fill_up_to(spec.samples)
    return Model(field, Appearance.of(shape, photo_ids, device), scene.frame, scene_id(scene),
                 training={"sampling": sampling.to_json()})
