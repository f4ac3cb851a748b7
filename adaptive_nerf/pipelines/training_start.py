"""Where a training begins: with its own last checkpoint, with the one that the job names, or with nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.masks import load_mask
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.ray_store import LoadedPhoto, RayStore
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Train
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.model import Lineage, Model
from adaptive_nerf.pipelines.build import fresh_model, require_agreement
from adaptive_nerf.pipelines.joint import Joint
from adaptive_nerf.pipelines.opening import checkpoint_of, device_of
from adaptive_nerf.pipelines.training_state import joint_of

log = logging.getLogger(__name__)


def training_rays(scene: Scene, photos: Sequence[LoadedPhoto]) -> RayStore:
    found = [photo for photo in photos if photo.photo.split == "train"]
    if not found:
        raise BadData(scene.root / "train", "holds no photos", expected="photos to train on")
    return RayStore(found)


def start_of(run: Run[Train], scene: Scene, partition: Partition, rays: RayStore) -> tuple[Model, Checkpoint | None]:
    """The model to go on from, and its checkpoint where that is this job's own."""
    spec, device = run.spec, device_of(run.spec)
    last = CheckpointStore.of_job(run.out).pointed("last")
    if last is not None:
        own = open_checkpoint(last)
        log.info("going on from %s", own.folder)
        return own.load(device=device), own
    if spec.checkpoint_path:
        base = checkpoint_of(run, scene)
        require_agreement(spec, base, partition)
        loaded = base.load(device=device)
        lineage = Lineage(base.digest, "train", "", spec.outer_steps, str(base.manifest.made_by.get("at", "")))
        return replace(loaded, lineage=(*loaded.lineage, lineage)), None
    if spec.experts is not None:
        raise BadUsage("experts trains a part of a model that is there; name it in checkpoint_path (a short joint run)")
    return fresh_model(spec, scene, partition, rays.photo_ids, device), None


def joint_for(spec: Train, scene: Scene, partition: Partition, rays: RayStore, start: Model) -> Joint:
    """With some experts alone: rays of the pixels that those are asked for."""
    allowed = None if spec.experts is None else pixels_of_experts(partition, rays, spec.experts)
    joint = joint_of(start, rays, rays.pool(range(len(rays)), allowed), spec.optimizer, spec.seed)
    joint.sampling.samples = spec.samples
    joint.sampling.most_rays = spec.rays or joint.sampling.most_rays
    joint.near = spec.near / scene.frame.metres_per_unit
    joint.far = math.inf if spec.far is None else spec.far / scene.frame.metres_per_unit
    return joint


def pixels_of_experts(partition: Partition, rays: RayStore, experts: Collection[int]) -> Tensor:
    """[n_pixels] bool: in the mask of any of the experts."""
    found = []
    for loaded in rays.photos:
        height, width = loaded.valid.shape
        masks = [load_mask(partition.mask_path(expert, loaded.photo.stem), width, height) for expert in experts
                 if partition.mask_path(expert, loaded.photo.stem).exists()]
        found.append(np.any(masks, axis=0).ravel() if masks else np.zeros(height * width, bool))
    return torch.from_numpy(np.concatenate(found))


def learners(spec: Train, start: Model, joint: Joint) -> tuple[int, ...]:
    """Ids of the experts that learn; the others keep their weights to the last bit."""
    if spec.experts is None:
        return start.field.experts
    unknown = sorted(set(spec.experts) - set(start.field.experts))
    if unknown:
        raise BadUsage(f"experts names {unknown[0]}; the model has {', '.join(map(str, start.field.experts))}")
    joint.optimiser.active = torch.tensor([float(expert in spec.experts) for expert in start.field.experts])
    return tuple(sorted(spec.experts))


def ground_x(scene: Scene) -> float:
    """Down, in scene units, of the lowest point."""
    return (-scene.frame.altitude_range_enu_m[0] - scene.frame.origin_drb_m[0]) / scene.frame.metres_per_unit
