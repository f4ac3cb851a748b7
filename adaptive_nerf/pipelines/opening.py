"""From a job's fields to what it works on: the scene, its partition, its photos in memory, a checkpoint, a Renderer."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaptive_nerf.common.errors import BadData, BadInput, BadUsage
from adaptive_nerf.common.memory import keep_freed_memory
from adaptive_nerf.common.run_progress import Run, StopRequested
from adaptive_nerf.data.masks import open_partition, partition_names
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.ray_store import LoadedPhoto, load_photos
from adaptive_nerf.data.scene import Scene, open_scene
from adaptive_nerf.engine.engines import device_for, engine
from adaptive_nerf.engine.precision import set_half
from adaptive_nerf.jobs.spec import Adapt, Eval, Train, Video, View
from adaptive_nerf.models import manifest
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint
from adaptive_nerf.models.checkpoint_store import FOLDER, CheckpointStore
from adaptive_nerf.models.city import City
from adaptive_nerf.pipelines.agreement import require_partition, require_told
from adaptive_nerf.pipelines.asked import as_asked

Spec = Train | Adapt | Eval | View | Video
GAIN_BY_HALVES = ("cpu, halves", "tcnn")  # names of engines


def device_of(spec: Spec) -> torch.device:
    """The first device that the service left visible, unless the job wants none, or the CPU is faster."""
    return device_for(bool(spec.gpus))


def set_up_arithmetic(run: Run[Spec] | None = None) -> None:
    """Torch's own small sums on one thread: the same bits every run. The engine's kernels use threads of their own.

    Half precision as the job wishes; where it asks for it in so many words, it is told that there is none.
    """
    keep_freed_memory()
    torch.set_num_threads(1)
    if run is None:
        return
    set_half(run.spec.use_amp)
    device = device_of(run.spec)
    if run.spec.gpus and device.type == "cpu" and torch.cuda.is_available():
        run.progress.warn("the GPU is left alone: no kernels serve on it, and the CPU is faster; doctor.py tells why")
    serves = engine(device).name
    if run.spec.use_amp and "use_amp" in run.spec.model_fields_set and serves not in GAIN_BY_HALVES:
        run.progress.warn("use_amp has no effect: what computes here does not gain by half precision")


def tell_idle(run: Run[Any], names: Collection[str], why: str) -> None:
    """Fields that a message gives though they change nothing in this job, each told once."""
    for name in sorted(run.spec.model_fields_set & set(names)):
        run.progress.warn(f"{name} has no effect in {run.spec.op}: {why}")


def scene_folder(spec: Spec) -> Path:
    """<data_path>/out/<data_dirname>, or straight a prepared scene."""
    base = Path(spec.data_path)
    if spec.data_dirname and (base / "out" / spec.data_dirname).is_dir():
        return base / "out" / spec.data_dirname
    if (base / "coordinates.pt").exists():
        return base
    raise BadData(base / "out" / spec.data_dirname, "is not there",
                  expected="a prepared scene (see prepare_dataset.py)")


def scene_of(run: Run[Spec]) -> Scene:
    scene = open_scene(scene_folder(run.spec))
    for warning in scene.warnings:
        run.progress.warn(warning)
    return scene


def partition_of(spec: Train, scene: Scene) -> Partition:
    if not spec.mask_dirname:
        there = ", ".join(partition_names(scene)) or "none yet; create_clusters.py makes one"
        raise BadUsage(f"mask_dirname is missing: training needs a partition; there are: {there}")
    partition = open_partition(scene, spec.mask_dirname)
    if spec.num_submodules is not None and spec.num_submodules != partition.n_experts:
        raise BadData(partition.folder, f"has {partition.n_experts} experts", key="num_submodules",
                      expected=f"{spec.num_submodules}, as the job says")
    return partition


def scene_id(scene: Scene) -> str:
    """Of its frame and of the poses that it was prepared with; later flights change nothing."""
    told = {"frame": scene.frame.to_json(),
            "poses": [[photo.photo_id, np.round(photo.c2w_scene, 5).tolist()] for photo in scene.photos]}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def photos_in_memory(run: Run[Spec], photos: Sequence[Photo], scene: Scene) -> list[LoadedPhoto]:
    """At the working size. Borders that we found ourselves are told once."""
    loaded: list[LoadedPhoto] = []
    for photo in load_photos(photos, run.spec.downscale, scene.frame.metres_per_unit):
        if run.stop_requested():
            raise StopRequested("stopped while the photos were read")
        loaded.append(photo)
        run.progress.preparing("photos_read", len(loaded), len(photos))
    found = [photo for photo in loaded if photo.borders_found]
    if found:
        left_out = 100 * (1 - np.mean([photo.valid.mean() for photo in found]))
        run.progress.warn(f"{len(found)} photos have black borders from undistortion; they are left out "
                          f"({left_out:.1f} % of the pixels), in training and in scores")
    return loaded


def is_inside(path: Path, roots: Collection[Path]) -> bool:
    """Whether a path, links and all, leads into a folder that jobs may use; without any, all may be used."""
    return not roots or any(path.resolve().is_relative_to(root.resolve()) for root in roots)


def require_inside(field: str, path: Path, roots: Collection[Path]) -> Path:
    if not is_inside(path, roots):
        raise BadUsage(f"{field} {path} leads outside of the folders that jobs may use; put it inside of one")
    return path


def flight_photos(scene: Scene, batch: str) -> tuple[Photo, ...]:
    """A later flight, or the val photos."""
    if not batch:
        return scene.split("val")
    if batch not in scene.flights:
        there = ", ".join(scene.flights) or "none yet; update_dataset.py adds one"
        raise BadData(scene.root / "continual" / batch, "is not there", expected=f"a later flight; there are: {there}")
    return scene.flights[batch]


@dataclass(frozen=True)
class Places:
    """Where a checkpoint may be looked for."""

    logs: Path
    roots: tuple[Path, ...]

    @classmethod
    def of(cls, run: Run[Spec]) -> Places:
        return cls(run.out.resolve().parent, run.roots)

    def candidates(self, value: str) -> list[Path]:
        path = Path(value)
        within_logs = path.relative_to("logs") if path.parts[:1] == ("logs",) else path
        places = [path] if path.is_absolute() else [self.logs / within_logs, Path.cwd() / path]
        return [place for place in places if is_inside(place, self.roots)]


def find_checkpoint(value: str, prefix: str, places: Places) -> Checkpoint:
    """A job_id, a job's folder or a checkpoint folder. Never random weights."""
    for place in places.candidates(value):
        if (place / manifest.NAME).exists():
            return open_checkpoint(place)
        for folder in (place / FOLDER, place):
            if (folder / "last").is_file() or CheckpointStore(folder).steps():
                return open_checkpoint(CheckpointStore(folder).find(prefix))
    near = difflib.get_close_matches(Path(value).name, trained_jobs(places.logs), 2, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "give a job_id, a job's folder or a checkpoint"
    raise BadInput(f"checkpoint_path '{value}' holds no checkpoint; {hint}")


def trained_jobs(logs: Path) -> list[str]:
    """Names of the jobs that have a checkpoint."""
    return sorted(folder.parent.name for folder in logs.glob(f"*/{FOLDER}") if CheckpointStore(folder).steps())


def checkpoint_of(run: Run[Spec], scene: Scene | None = None) -> Checkpoint:
    """The one that the job names; it must be of the scene."""
    if not run.spec.checkpoint_path:
        raise BadUsage(f"checkpoint_path is missing: {run.spec.op} works on a trained model; name a job or a folder")
    found = find_checkpoint(run.spec.checkpoint_path, run.spec.prefix, Places.of(run))
    _tell_prefix(run, found)
    if not isinstance(run.spec, Train):
        require_told(found, run.idle)
    if scene is None:
        return found
    require_scene(found, scene)
    if run.spec.mask_dirname and not isinstance(run.spec, Train):
        require_partition(found, open_partition(scene, run.spec.mask_dirname))
    return found


def _tell_prefix(run: Run[Spec], found: Checkpoint) -> None:
    """Where checkpoint_path is a checkpoint's own folder, `prefix` chooses nothing."""
    if "prefix" not in run.spec.model_fields_set:
        return
    if CheckpointStore(found.folder.parent).named(run.spec.prefix) != found.folder:
        run.progress.warn(f"prefix {run.spec.prefix} has no effect: checkpoint_path names {found.folder.name} itself; "
                          f"name the job to choose by prefix")


def require_scene(checkpoint: Checkpoint, scene: Scene) -> Checkpoint:
    if checkpoint.manifest.scene_id != scene_id(scene):
        raise BadData(checkpoint.folder, "was trained on another scene", key="scene_id",
                      expected=f"the one of {scene.root}")
    return checkpoint


def open_renderer(run: Run[Spec]) -> tuple[City, Scene]:
    """The model of a job that only looks at it."""
    scene = scene_of(run)
    return city_of(run, checkpoint_of(run, scene)), scene


def city_of(run: Run[Spec], checkpoint: Checkpoint) -> City:
    """Seen as the job asks, part by part."""
    return City(checkpoint, device_of(run.spec), run.spec.chunk_points, as_seen=lambda model: as_asked(model, run.spec))
