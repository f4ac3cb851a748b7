"""What a job may not say of a model that is there already: another shape than its own, another partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.jobs.spec import Train
from adaptive_nerf.models.architecture import Architecture
from adaptive_nerf.models.checkpoint import Checkpoint

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
            raise _disagrees(checkpoint, field, (stored[name], wanted[name]))
    require_partition(checkpoint, partition)


def require_told(checkpoint: Checkpoint, idle: Mapping[str, Any]) -> None:
    """Of a job that only uses a model: what its message says of the shape, though it has no say in it, must be so."""
    stored = checkpoint.architecture.to_json()
    there = {theirs: stored[ours] for theirs, ours in OF_SPEC.items()}
    there |= {"num_submodules": len(checkpoint.experts), "no_bg_nerf": not stored["background_width"]}
    if not idle.get("no_bg_nerf"):
        there["bg_hidden"] = stored["background_width"]
    for name, value in sorted(idle.items()):
        if name in there and value is not None and value != there[name]:
            raise _disagrees(checkpoint, name, (there[name], value))


def _disagrees(checkpoint: Checkpoint, field: str, values: tuple[Any, Any]) -> BadData:
    return BadData(checkpoint.folder, f"has {values[0]}, the job says {values[1]}", key=field,
                   expected="the same; leave the field out to take the checkpoint's")


def require_partition(checkpoint: Checkpoint, partition: Partition) -> None:
    """The same centroids and the same boxes: experts mean the same places."""
    told = checkpoint.manifest.regions
    boxes = np.array([[*box.low, *box.high] for box in partition.boxes])
    for stored, wanted in ((np.array(told.centroids), partition.centroids), (np.array(told.boxes), boxes)):
        if stored.shape != wanted.shape or not np.allclose(stored, wanted, atol=1e-5):
            raise BadData(checkpoint.folder, f"was trained on another partition than {partition.name}",
                          key="mask_dirname", expected="the partition that it was trained on")
