"""Where a training begins: with its own last checkpoint, with the one that the job names, or with nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.masks import load_mask
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.ray_store import LoadedPhoto, RayStore
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Adapt, Eval, Train
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.model import Lineage, Model
from adaptive_nerf.pipelines.agreement import require_agreement, require_partition
from adaptive_nerf.pipelines.build import fresh_model, to_be_trained
from adaptive_nerf.pipelines.joint import Joint
from adaptive_nerf.pipelines.opening import checkpoint_of, device_of, require_scene
from adaptive_nerf.pipelines.rates import Rates
from adaptive_nerf.pipelines.training_state import joint_of

FREE_AIR = 0.15  # of the usual height above the ground
log = logging.getLogger(__name__)


def training_rays(scene: Scene, photos: Sequence[LoadedPhoto]) -> RayStore:
    found = [photo for photo in photos if photo.photo.split == "train"]
    if not found:
        raise BadData(scene.root / "train", "holds no photos", expected="photos to train on")
    return RayStore(found)


def start_of(run: Run[Train], scene: Scene, partition: Partition, rays: RayStore) -> tuple[Model, Checkpoint | None]:
    """The model to go on from, and its checkpoint where that is this job's own."""
    spec, device = run.spec, device_of(run.spec)
    store = CheckpointStore.of_job(run.out)
    newest = store.newest()
    if newest is not None:
        if store.pointed("last") is None:
            run.progress.warn(f"no checkpoint is pointed at as last; the training goes on from the newest that is "
                              f"there, {newest.name}")
        own = require_scene(open_checkpoint(newest), scene)
        require_partition(own, partition)
        log.info("going on from %s", own.folder)
        return own.load(device=device), own
    if spec.checkpoint_path:
        base = checkpoint_of(run, scene)
        require_agreement(spec, base, partition)
        loaded = to_be_trained(base.load(device=device), spec, partition)
        lineage = Lineage(base.digest, "train", "", 0, datetime.now(UTC).isoformat(timespec="seconds"))
        return replace(loaded, lineage=(*loaded.lineage, lineage)), None
    if spec.experts is not None:
        raise BadUsage("experts trains a part of a model that is there; name it in checkpoint_path (a short joint run)")
    return fresh_model(spec, scene, partition, rays.photo_ids, device), None


def joint_for(run: Run[Train], scene: Scene, partition: Partition, rays: RayStore, start: Model) -> Joint:
    """With some experts alone: rays of the pixels that those are asked for."""
    spec, taught = run.spec, learners(run.spec, start)
    allowed = None if spec.experts is None else pixels_of_experts(run, partition, rays, taught)
    pool = rays.pool(range(len(rays)), allowed)
    if not len(pool):
        raise BadData(partition.folder, f"gives experts {', '.join(map(str, taught))} no valid pixel of a train photo",
                      expected="masks in which the photos have a picture")
    joint = joint_of(start, rays, pool, spec.optimizer, spec.seed)
    joint.optimiser.active = torch.tensor([float(expert in taught) for expert in start.field.experts])
    joint.near = near_m(spec, scene) / scene.frame.metres_per_unit
    joint.full_from = height_m(scene) / scene.frame.metres_per_unit
    joint.far = math.inf if spec.far is None else spec.far / scene.frame.metres_per_unit
    return joint


def near_m(spec: Train | Adapt | Eval, scene: Scene) -> float:
    """Where a job says nothing, a part of the height that the drone flew at: the air around it was free.

    Without that, much of what one photo alone shows is explained by specks right before its camera.
    """
    return FREE_AIR * height_m(scene) if spec.near is None else spec.near


def tell_effective(run: Run[Any], scene: Scene, rates: Rates) -> None:
    """Numbers that the recipe chooses where the job says nothing."""
    run.effective.update(near_m=round(near_m(run.spec, scene), 3), far_m=run.spec.far,
                         rates={name: float(f"{rate:.6g}") for name, rate in vars(rates).items()})


def height_m(scene: Scene) -> float:
    """The usual height of the cameras above the lowest ground."""
    down = np.array([photo.c2w_scene[0, 3] for photo in scene.photos])
    return float(max(0.0, np.median(ground_x(scene) - down)) * scene.frame.metres_per_unit)


def pixels_of_experts(run: Run[Train], partition: Partition, rays: RayStore, experts: Collection[int]) -> Tensor:
    """[n_pixels] bool: in the mask of any of the experts."""
    found = []
    for loaded in rays.photos:
        height, width = loaded.valid.shape
        paths = [partition.mask_path(expert, loaded.photo.stem) for expert in experts]
        masks = [load_mask(path, width, height, (loaded.photo.width, loaded.photo.height)) for path in paths
                 if path.exists()]
        found.append(np.any(masks, axis=0).ravel() if masks else np.zeros(height * width, bool))
        run.progress.preparing("masks_read", len(found), len(rays.photos))
    return torch.from_numpy(np.concatenate(found))


def learners(spec: Train, start: Model) -> tuple[int, ...]:
    """Ids of the experts that learn; the others keep their weights to the last bit."""
    if spec.experts is None:
        return start.field.experts
    unknown = sorted(set(spec.experts) - set(start.field.experts))
    if unknown:
        raise BadUsage(f"experts names {unknown[0]}; the model has {', '.join(map(str, start.field.experts))}")
    return tuple(sorted(set(spec.experts)))


def ground_x(scene: Scene) -> float:
    """Down, in scene units, of the lowest point."""
    return (-scene.frame.altitude_range_enu_m[0] - scene.frame.origin_drb_m[0]) / scene.frame.metres_per_unit
