"""Models of checkpoints, as the page shows them: which checkpoints there are, and a renderer for each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.jobs.spec import View
from adaptive_nerf.models import manifest
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint, save
from adaptive_nerf.models.checkpoint_store import FOLDER, POINTERS, CheckpointStore
from adaptive_nerf.models.city import MOST_EXPERTS, City
from adaptive_nerf.models.mixture import Mixture
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adaptation import base_of
from adaptive_nerf.pipelines.opening import Places, city_of, require_scene
from adaptive_nerf.rendering.types import Frame, Output, Quality, never_cancelled
from adaptive_nerf.viewer.backend import SoloRenderer


@dataclass(frozen=True)
class Shown:
    """A model as it is shown when nothing is being learned."""

    checkpoint: Checkpoint  # that it came from
    model: Model | None  # None: a large one, whose experts are read as they come into view
    renderer: Mixture | City
    version: str
    touched: frozenset[int] = frozenset()  # experts that learned something since the checkpoint

    def learned(self, model: Model, version: str, touched: frozenset[int], chunk_points: int) -> Shown:
        return Shown(self.checkpoint, model, model.mixture(version, chunk_points), version, self.touched | touched)

    def whole(self, run: Run[View], scene: Scene) -> Model:
        return self.model if self.model is not None else _whole(run, scene, self.checkpoint.folder)


@dataclass(frozen=True)
class SoloCity:
    """A city, or some experts of it."""

    city: City
    experts: tuple[int, ...] | None = None  # None: all

    def only(self, experts: Collection[int]) -> SoloCity:
        return SoloCity(self.city, tuple(experts))

    @property
    def memory_was_short(self) -> bool:
        return self.city.memory_was_short

    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        mixture = self.city.mixture_for(camera)
        if self.experts is None:
            return mixture.render(camera, outputs, quality, cancelled)
        seen = mixture.only(self.experts)
        try:
            return seen.render(camera, outputs, quality, cancelled)
        finally:  # the part of the model is new for each picture: what it found out about memory is kept
            mixture.memory_was_short, mixture.chunk_points = seen.memory_was_short, seen.chunk_points


def solo(renderer: Mixture | City) -> SoloRenderer:
    return SoloCity(renderer) if isinstance(renderer, City) else renderer


def shown(run: Run[View], scene: Scene, folder: Path) -> Shown:
    """Reads a checkpoint, a large one only in part. AdaptiveNerfError where it is damaged or of another scene."""
    checkpoint = require_scene(open_checkpoint(folder), scene)
    if len(checkpoint.experts) > MOST_EXPERTS:
        city = city_of(run, checkpoint)
        return Shown(checkpoint, None, city, checkpoint.version)
    model = _whole(run, scene, folder)
    return Shown(checkpoint, model, model.mixture(checkpoint.version, run.spec.chunk_points), checkpoint.version)


def _whole(run: Run[View], scene: Scene, folder: Path) -> Model:
    here = run.spec.model_copy(update={"checkpoint_path": str(folder.absolute())})
    return base_of(replace(run, spec=here), scene)[1]  # type: ignore[arg-type]


def write_shown(run: Run[View], scene: Scene, what: Shown) -> Path:
    """As a checkpoint of this job; experts that learned nothing are links to the base's files."""
    model, store = what.whole(run, scene), CheckpointStore.of_job(run.out)
    step = model.step
    while store.place(step).exists():  # another way that was tried before
        step += 1
    place, base = store.place(step), what.checkpoint
    kind = "adapt" if what.touched else base.manifest.kind
    unchanged = [expert for expert in model.field.experts if expert not in what.touched]
    save(place, replace(model, step=step), kind, base=base, unchanged=unchanged)
    return place


def point_at(run: Run[View], place: Path) -> None:
    """From now on it is what other jobs get of this one."""
    for name in POINTERS:
        CheckpointStore.of_job(run.out).point(name, place)


def boxes_of(checkpoint: Checkpoint) -> tuple[Box, ...]:
    return tuple(Box(np.array(row[:3]), np.array(row[3:])) for row in checkpoint.manifest.regions.boxes)


def newest(run: Run[View]) -> Path | None:
    """Of the job that is followed: the checkpoint with the most steps; None while there is none."""
    for place in Places.of(run).candidates(run.spec.checkpoint_path) if run.spec.checkpoint_path else []:
        if (place / manifest.NAME).exists():
            return place
        for folder in (place / FOLDER, place):
            steps = CheckpointStore(folder).steps()
            if steps:
                return steps[max(steps)]
    return None
