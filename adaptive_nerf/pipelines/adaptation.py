"""The operation `adapt`: a checkpoint absorbs the photos of a later flight, and is saved as a new version.

The job's checkpoints/ then hold the base too (as links): going back to it is the undo. Only the experts that the photos
touch are written anew.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData
from adaptive_nerf.common.run_progress import Result, Run, StopRequested
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Adapt, Eval
from adaptive_nerf.models.checkpoint import Checkpoint, link, open_checkpoint, save
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adapter import Adapter, AdaptSettings
from adaptive_nerf.pipelines.asked import as_asked
from adaptive_nerf.pipelines.joint import Taken
from adaptive_nerf.pipelines.opening import (
    checkpoint_of,
    device_of,
    flight_photos,
    photos_in_memory,
    scene_of,
    set_up_arithmetic,
    tell_idle,
)
from adaptive_nerf.pipelines.patience import Patience
from adaptive_nerf.pipelines.pictures import photo_pixels
from adaptive_nerf.pipelines.rates import rates_of
from adaptive_nerf.pipelines.scoring import picture_from
from adaptive_nerf.pipelines.trackers import Tracker
from adaptive_nerf.pipelines.training_start import height_m, near_m, tell_effective
from adaptive_nerf.rendering.types import Frame, RenderCancelled

OLD_PHOTOS = 32  # in memory, for replay
Item = TypeVar("Item")


def adapt(run: Run[Adapt]) -> Result:
    set_up_arithmetic(run)
    scene = scene_of(run)
    base, model = base_of(run, scene)
    _require_look(run.spec, base)
    new = photos_to_absorb(run, scene)
    with Tracker(run.out, warn=run.progress.warn) as tracker:
        try:
            settings = settings_of(run.spec, scene, model)
            tell_effective(run, scene, settings.rates)
            adapter = Adapter(model, new, old_photos(run, scene), settings, run.stop_requested,
                              lambda done, of: run.progress.preparing("photos_looked_at", done, of))
        except RenderCancelled as error:
            raise StopRequested("stopped before the first step") from error
        return Adaptation(run, base, adapter, tracker).go_on()


@dataclass
class Adaptation:
    run: Run[Adapt]
    base: Checkpoint
    adapter: Adapter
    tracker: Tracker
    patience: Patience = field(default_factory=Patience)
    shown: set[int] = field(default_factory=set)  # after how many steps

    def go_on(self) -> Result:
        spec, store = self.run.spec, CheckpointStore.of_job(self.run.out)
        store.clear()
        _keep_base(store, self.base)
        self._show(self.adapter.looks[0].frame)
        began, taken, steps = time.monotonic(), None, max(spec.tto)
        while not self._finished(steps, time.monotonic() - began):
            if self.run.stop_requested():
                self._save(store)
                raise StopRequested("stopped on request; a checkpoint was written",
                                    self._result(time.monotonic() - began, math.nan))
            taken = self._step()
            if taken is None:
                continue
            self.tracker.scalars(self.adapter.steps, {"adapt/loss": taken.loss, "adapt/psnr_db": taken.psnr_db})
            done, of = (time.monotonic() - began, spec.seconds) if spec.seconds else (self.adapter.steps, steps)
            self.run.progress.step(done, of, {"loss": taken.loss, "train_psnr_db": taken.psnr_db})
            if self.adapter.steps in spec.tto:
                self._save(store)
                self._show()
        took_s = time.monotonic() - began
        self._save(store)
        self._show()
        return self._result(took_s, taken.psnr_db if taken else math.nan)

    def _step(self) -> Taken | None:
        """None where memory ran out: the step is taken again, with less."""
        try:
            taken = self.adapter.step()
        except (MemoryError, RuntimeError) as error:
            self.patience.make_do_with_less(error, self.adapter.joint)
            return None
        self.patience.look_at(taken.loss, self.adapter.steps, self.adapter.settings.rates)
        return taken

    def _finished(self, steps: int, took_s: float) -> bool:
        return took_s >= self.run.spec.seconds if self.run.spec.seconds else self.adapter.steps >= steps

    def _save(self, store: CheckpointStore) -> None:
        save_version(store, self.adapter, self.base, self.run.spec.batch)

    def _show(self, frame: Frame | None = None) -> None:
        """For people to watch: the first of the new photos, as the model shows it by now."""
        photo, steps = self.adapter.new[0], self.adapter.steps
        if steps in self.shown:
            return
        self.shown.add(steps)
        mixture = self.adapter.live_model().mixture("adapting", self.run.spec.chunk_points)
        rgb = (frame or picture_from(mixture, photo)).rgb
        if rgb is not None:
            self.tracker.picture(steps, f"adapt/{photo.photo.stem}", photo_pixels(rgb))

    def _result(self, took_s: float, train_psnr_db: float) -> Result:
        """`train_psnr_db`: of the rays of the last step."""
        told = {"steps": float(self.adapter.steps), "seconds": round(took_s, 2),
                "touched_experts": float(len(self.adapter.touched)), "train_psnr_db": train_psnr_db,
                "skipped_steps": float(self.patience.skipped)}
        place = CheckpointStore.of_job(self.run.out).pointed("last")
        artifacts = (str(place.relative_to(self.run.out)),) if place else ()
        return Result(artifacts, {name: value for name, value in told.items() if math.isfinite(value)})


def save_version(store: CheckpointStore, adapter: Adapter, base: Checkpoint, batch: str) -> Checkpoint:
    """The model as it stands, as `last` and `best`; untouched experts are links to the base's files."""
    place = store.place(base.manifest.step + adapter.steps)
    if place.exists():  # of an attempt before this one: each step is a function of its number alone
        saved = open_checkpoint(place)
    else:
        model = adapter.model(batch, base.digest)
        untouched = [expert for expert in model.field.experts if expert not in adapter.touched]
        saved = save(place, model, "adapt", base=base, unchanged=untouched)
    for name in ("last", "best"):
        store.point(name, place)
    return saved


def base_of(run: Run[Adapt] | Run[Eval], scene: Scene) -> tuple[Checkpoint, Model]:
    """The checkpoint, and its model as the job asks for it."""
    tell_idle(run, ("color_lr", "bg_lr"), "what experts share does not change when photos are absorbed")
    base = checkpoint_of(run, scene)
    return base, as_asked(base.load(device=device_of(run.spec)), run.spec)


def _require_look(spec: Adapt, base: Checkpoint) -> None:
    """How photos look is the checkpoint's to say; `none` leaves the new ones in the neutral look."""
    stored = base.architecture.appearance
    if "appearance" in spec.model_fields_set and spec.appearance not in ("none", stored):
        raise BadData(base.folder, f"has {stored}, the job says {spec.appearance}", key="appearance",
                      expected="the same, or none")


def photos_to_absorb(run: Run[Adapt] | Run[Eval], scene: Scene) -> list[LoadedPhoto]:
    photos = photos_in_memory(run, flight_photos(scene, run.spec.batch), scene)
    if not photos:
        raise BadData(scene.root / "val", "holds no photos", expected="photos to adapt on, or a flight in `batch`")
    return photos


def old_photos(run: Run[Adapt] | Run[Eval], scene: Scene) -> list[LoadedPhoto]:
    """Some of those that were trained on, evenly over the flight."""
    if run.spec.replay <= 0:
        return []
    train = scene.split("train")
    return photos_in_memory(run, evenly(train, OLD_PHOTOS), scene)


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    if len(items) <= count:
        return list(items)
    return [items[int(place * len(items) / count)] for place in range(count)]


def settings_of(spec: Adapt | Eval, scene: Scene, base: Model) -> AdaptSettings:
    units = scene.frame.metres_per_unit
    rays = spec.support_rays if isinstance(spec, Eval) or spec.rays is None else min(spec.rays, spec.support_rays)
    samples = 65_536 if isinstance(spec, Eval) else spec.samples
    rates = rates_of(spec, base.step)
    if isinstance(spec, Adapt) and spec.appearance == "none":
        rates = replace(rates, appearance=0.0)
    return AdaptSettings(rates, rays, spec.replay, spec.seed, spec.optimizer, samples,
                         near_m(spec, scene) / units, math.inf if spec.far is None else spec.far / units,
                         height_m(scene) / units, spec.chunk_points)


def _keep_base(store: CheckpointStore, base: Checkpoint) -> None:
    """The state before, beside the new one, link by link: the way back has the digest that the lineage tells."""
    place = store.place(base.manifest.step)
    if not place.exists():
        partial = atomic_files.partial_folder(place)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(base.folder, partial, copy_function=link)
        atomic_files.publish_folder(partial, place)
        store.point("last", place)
