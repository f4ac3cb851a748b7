"""The operation `train`: a joint phase over all rays, then meta-learning on top; resumed exactly where it was ended.

What it leaves in the job's folder: checkpoints/ (every save_step, and in meta-learning whenever an evaluation is the
best so far; `best`, `last`), tensorboard/, progress.json, result.json. Stopped, killed or out of memory: the next
attempt goes on from `last`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.common.memory import ran_out_of_memory
from adaptive_nerf.common.run_progress import Result, Run, StopRequested
from adaptive_nerf.data.episodes import Cell
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Train
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint, save
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines import few_views, training_start
from adaptive_nerf.pipelines.joint import SAMPLES_AT_FIRST, Joint
from adaptive_nerf.pipelines.meta import MetaSettings, cells_by_slot, outer_step
from adaptive_nerf.pipelines.metrics import mean_score
from adaptive_nerf.pipelines.opening import partition_of, photos_in_memory, scene_of, set_up_arithmetic, tell_idle
from adaptive_nerf.pipelines.patience import Patience
from adaptive_nerf.pipelines.pictures import photo_pixels
from adaptive_nerf.pipelines.rates import Rates, Schedule, gather, pull, rates_of
from adaptive_nerf.pipelines.scoring import picture_from, score_photos, spread
from adaptive_nerf.pipelines.trackers import Tracker
from adaptive_nerf.pipelines.training_plan import Plan
from adaptive_nerf.pipelines.training_state import model_of, optimiser_files, restore
from adaptive_nerf.pipelines.val_tasks import ValTasks

TELL_EVERY = 10  # steps


def train(run: Run[Train]) -> Result:
    set_up_arithmetic(run)
    spec = run.spec
    if spec.seconds:
        tell_idle(run, ("outer_steps",), "seconds says how long it learns")
    scene = scene_of(run)
    partition = partition_of(spec, scene)
    with Tracker(run.out, _steps_told(run), run.progress.warn) as tracker:
        training = prepare(run, scene, partition, photos_in_memory(run, scene.photos, scene), tracker)
        return training.go_on()


def prepare(run: Run[Train], scene: Scene, partition: Partition, photos: list[LoadedPhoto],
            tracker: Tracker) -> Training:
    spec, store = run.spec, CheckpointStore.of_job(run.out)
    rays = training_start.training_rays(scene, photos)
    watched, ground_x = [photo for photo in photos if photo.photo.split != "train"], training_start.ground_x(scene)
    del photos  # the store has those that it was made of
    start, earlier = training_start.start_of(run, scene, partition, rays)
    joint = training_start.joint_for(run, scene, partition, rays, start)
    training_start.tell_effective(run, scene, effective_rates(spec, start))
    told = start.training if earlier else {}
    if earlier is not None:
        restore(joint, earlier)
    learners = training_start.learners(spec, start)
    plan = Plan.of_job(spec, start.step - int(told.get("began_at", start.step)), float(told.get("elapsed_s", 0.0)))
    val = spread(watched, spec.test_batch_size, spec.seed)
    tasks = None if spec.algo == "joint" else ValTasks.of(joint, learners, watched, (ground_x, spec.cell_dim))
    return Training(run, start, joint, plan, learners, val, store, tracker, began_at=joint.step - plan.done,
                    ground_x=ground_x, best_db=float(told.get("best_db", -np.inf)), val_tasks=tasks)


@dataclass
class Training:
    run: Run[Train]
    start: Model
    joint: Joint
    plan: Plan
    learners: tuple[int, ...]  # expert ids
    val: list[LoadedPhoto]
    store: CheckpointStore
    tracker: Tracker
    began_at: int
    ground_x: float
    best_db: float
    val_tasks: ValTasks | None = None  # of meta-learning
    patience: Patience = field(default_factory=Patience)
    cells: list[list[Cell]] = field(default_factory=list)  # of each slot, found when meta-learning begins
    latest: dict[str, float] = field(default_factory=dict)  # scores of the val photos
    scored_photos: int = 0  # of how many they are the mean
    scored_at: int = -1  # the step that they are of

    def go_on(self) -> Result:
        spec, rates, schedule = self.run.spec, effective_rates(self.run.spec, self.start), _schedule(self.run.spec)
        self._tell({})
        try:
            while not self.plan.finished:
                if self.run.stop_requested():
                    raise StopRequested("stopped between two steps")
                self._step(rates.scaled(schedule.factor(self.joint.step - self.began_at, self.plan.progress)))
                if self.plan.done % spec.eval_step == 0:
                    self._evaluate()
                if self.plan.done % spec.save_step == 0 or self._is_to_be_kept():
                    self._save()
            if self.scored_at != self.joint.step:
                self._evaluate()
        except StopRequested as error:
            self._save()
            raise StopRequested("stopped on request; a checkpoint was written", self._result(stopped=True)) from error
        self._save()
        return self._result()

    def _step(self, rates: Rates) -> None:
        """Whatever becomes of it, it counts."""
        metrics = self._learn(rates)
        self.plan.done += 1
        self._tell(metrics)

    def _learn(self, rates: Rates) -> dict[str, float]:
        is_joint, step = self.plan.is_joint, self.joint.step
        try:
            told = self._joint_step(rates) if is_joint else {"query_loss": self._meta_step(rates)}
        except (MemoryError, RuntimeError) as error:
            self.patience.make_do_with_less(error, self.joint)
            return {}
        self.patience.look_at(told["loss" if is_joint else "query_loss"], step, rates)
        if step % TELL_EVERY == 0:
            phase = "joint" if is_joint else "meta"
            self.tracker.scalars(step + 1, {f"{phase}/{name}": value for name, value in told.items()})
        return {"phase": 0.0 if is_joint else 1.0, **told}

    def _joint_step(self, rates: Rates) -> dict[str, float]:
        is_new = self.began_at == 0  # what is there already stays there
        self.joint.gather = gather(self.joint.step)
        self.joint.pull = pull(self.plan.progress, self.joint.step) if is_new else 0.0
        if self._leaves_to_the_ground():
            unit_m = self.start.scene_frame.metres_per_unit
            few_views.leave_to_the_ground(self.joint, unit_m, self.run.spec.chunk_points, goes_on=self.began_at > 0)
        taken = self.joint.take(rates)
        return {"loss": taken.loss, "train_psnr_db": taken.psnr_db, "rays": float(taken.rays)}

    def _leaves_to_the_ground(self) -> bool:
        """Once: at first where it goes on from a model, else while there is time to learn what begins anew."""
        known = self.joint.step >= few_views.AFTER_STEPS and self.plan.progress <= few_views.LATEST
        return self.joint.may is None and (known or self.began_at > 0)

    def _tell(self, metrics: dict[str, float]) -> None:
        if self.plan.seconds:
            self.run.progress.step(round(self.plan.elapsed_s, 1), self.plan.seconds, metrics)
        else:
            self.run.progress.step(self.plan.done, self.plan.steps, metrics)

    def _meta_step(self, rates: Rates) -> float:
        spec = self.run.spec
        if not self.cells:
            self.cells = self._find_cells()
        return outer_step(self.joint, self.cells, self.ground_x, self._meta_settings(spec.batch_size), rates)

    def _meta_settings(self, rounds: int) -> MetaSettings:
        """With smaller tasks, where there was a want of memory."""
        spec = self.run.spec
        less = min(1.0, self.joint.sampling.samples / min(spec.samples, SAMPLES_AT_FIRST))
        return MetaSettings(spec.algo, spec.inner_params, spec.inner_iter, spec.inner_lr, rounds,
                            math.ceil(spec.support_rays * less), math.ceil(spec.query_rays * less))

    def _find_cells(self) -> list[list[Cell]]:
        found = cells_by_slot(self.joint.field, self.learners, self.joint.store.photos, self.ground_x,
                              self.run.spec.cell_dim)
        if not any(found):
            raise BadData(self.joint.store.photos[0].photo.image_path.parents[2],
                          "has no piece of ground that two photos see", expected="overlapping photos to meta-learn on")
        return found

    def _evaluate(self) -> None:
        """For people, and for `best`: a want of memory ends no training that goes well."""
        try:
            self._score_val_photos()
        except (MemoryError, RuntimeError) as error:
            if not ran_out_of_memory(error):
                raise
            self.run.progress.warn("memory ran out while val photos were scored: there are no scores of that step, and "
                                   "the training goes on; lower chunk_points")

    def _score_val_photos(self) -> None:
        if not self.val:
            return
        model = self.model()
        mixture = model.mixture("training", self.run.spec.chunk_points)
        scores = score_photos(mixture, self.val, self.run.stop_requested)
        mean = mean_score(scores)
        if mean is None:
            return
        told = {"val_psnr_db": mean.neutral.psnr_db}
        if mean.fitted:
            told["val_fitted_db"] = mean.fitted.psnr_db
        if self.val_tasks and not self.plan.is_joint:
            told |= self.val_tasks.score(self.joint, model.appearance.neutral,
                                         self._meta_settings(self.run.spec.test_batch_size))
        self.latest, self.scored_photos, self.scored_at = told, len(scores), self.joint.step
        self.tracker.scalars(self.joint.step, {f"val/{name}": value for name, value in self.latest.items()})
        picture = picture_from(mixture, self.val[0]).rgb
        if picture is not None:
            self.tracker.picture(self.joint.step, f"val/{self.val[0].photo.stem}", photo_pixels(picture))
        self._tell(self.latest)

    def _score(self) -> float:
        """Of what was evaluated last, by the val photos. How far inner steps come is told, but does not choose: on
        few rays of few tasks an early, blurred state can look best."""
        return self.latest.get("val_fitted_db", self.latest.get("val_psnr_db", -np.inf))

    def _is_to_be_kept(self) -> bool:
        """A start that meta-learning may make worse again. A joint training improves almost each time, and saving that
        often costs large tables a seventh of it."""
        return not self.plan.is_joint and self._improved()

    def _improved(self) -> bool:
        return self.scored_at == self.joint.step and self._score() > self.best_db

    def _save(self) -> Checkpoint:
        """`best` is told first: killed in between, the next attempt goes on from the older `last`, and tells both."""
        place = self.store.place(self.joint.step)
        is_best = self._improved()
        if is_best:
            self.best_db = self._score()
        if not place.exists():
            save(place, self.model(), "train", optimiser_files(self.joint))
        if is_best or self.store.pointed("best") is None:
            self.store.point("best", place)
        self.store.point("last", place)
        self.store.prune(self.run.spec.keep)
        return open_checkpoint(place)

    def model(self) -> Model:
        told = {"began_at": self.began_at, "elapsed_s": self.plan.elapsed_s, "seed": self.run.spec.seed}
        if np.isfinite(self.best_db):
            told["best_db"] = float(self.best_db)
        start = self.start
        if self.run.spec.checkpoint_path:
            *earlier, ours = start.lineage
            start = replace(start, lineage=(*earlier, replace(ours, steps=self.plan.done)))
        told["experts"] = None if self.run.spec.experts is None else list(self.learners)
        return model_of(self.joint, start, self.learners, told)

    def _result(self, stopped: bool = False) -> Result:
        path = self.store.pointed("last")
        artifacts = tuple(str(found.relative_to(self.run.out)) for found in (path,) if found is not None)
        scored = {"val_photos": float(self.scored_photos), "val_step": float(self.scored_at)} if self.latest else {}
        metrics = {"steps": float(self.plan.done), "seconds": round(self.plan.elapsed_s, 1), **self.latest, **scored,
                   "skipped_steps": float(self.patience.skipped), **({"stopped": 1.0} if stopped else {})}
        return Result(artifacts, metrics)


def _steps_told(run: Run[Train]) -> int:
    """From which step on an earlier attempt's curves are void."""
    newest = CheckpointStore.of_job(run.out).newest()
    return 0 if newest is None else int(newest.name.removeprefix("step")) + 1


def effective_rates(spec: Train, start: Model) -> Rates:
    """With some experts alone, what all share is frozen."""
    rates = rates_of(spec)
    if spec.experts is None:
        return rates
    own = start.field.architecture.head == "own"
    return replace(rates, heads=rates.heads if own else 0.0, background=0.0, appearance=0.0)


def _schedule(spec: Train) -> Schedule:
    return Schedule("constant" if spec.no_scheduler else spec.schedule, spec.decay_factor)
