"""The operation `eval`: a checkpoint is adapted for every number of steps in `tto`, each from the base, and scored.

A step of adaptation depends on its number alone, so one run through the ascending numbers passes through the very
states that a run of its own from the base would reach for each of them. 0 steps are the base itself.

What it leaves in the job's folder: metrics.csv, per_image.csv, evaluation.json (all of it), report.html, gt/, pred/,
error/, depth/, tensorboard/, progress.json, result.json. Stopped, it tells of what is scored by then.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import AdaptiveNerfError, BadData
from adaptive_nerf.common.memory import ran_out_of_memory
from adaptive_nerf.common.run_progress import Result, Run, StopRequested
from adaptive_nerf.data.ground_truth import GroundTruth
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Eval
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adaptation import base_of, photos_to_absorb, settings_of
from adaptive_nerf.pipelines.adapter import AdaptSettings
from adaptive_nerf.pipelines.eval_about import about, settings_in_words
from adaptive_nerf.pipelines.eval_batches import Batch, batches_of
from adaptive_nerf.pipelines.eval_gallery import Gallery
from adaptive_nerf.pipelines.eval_learned import learned_among, tell_learned
from adaptive_nerf.pipelines.eval_learner import Learner
from adaptive_nerf.pipelines.eval_old_photos import OldPhotos, old_photos_of
from adaptive_nerf.pipelines.eval_records import Evaluation, write_metrics_csv, write_per_image_csv
from adaptive_nerf.pipelines.eval_summary import Findings, in_words, metrics_of, with_findings
from adaptive_nerf.pipelines.joint import Taken
from adaptive_nerf.pipelines.judging import Judge, Verdict
from adaptive_nerf.pipelines.lpips_score import Lpips, find_weights
from adaptive_nerf.pipelines.metrics import PhotoScore, mean_colour
from adaptive_nerf.pipelines.opening import is_inside, require_inside, scene_of, set_up_arithmetic
from adaptive_nerf.pipelines.pictures import photo_pixels
from adaptive_nerf.pipelines.report import write_report
from adaptive_nerf.pipelines.trackers import Tracker
from adaptive_nerf.pipelines.training_start import tell_effective
from adaptive_nerf.rendering.types import RenderCancelled

PICTURE_COST = 6  # steps of adaptation that take about as long as one picture and its scores
PICTURES_TRACKED = 4
METRICS, PER_IMAGE, EVERYTHING, REPORT = "metrics.csv", "per_image.csv", "evaluation.json", "report.html"
log = logging.getLogger(__name__)


def evaluate(run: Run[Eval]) -> Result:
    set_up_arithmetic(run)
    spec, scene = run.spec, scene_of(run)
    base, model = base_of(run, scene)
    weights = lpips_weights(run)
    batches = batches_of(photos_to_absorb(run, scene), spec.protocol, spec.test_batch_size)
    old, settings = old_photos_of(run, scene), settings_of(spec, scene, model)
    tell_effective(run, scene, settings.rates)
    told = replace(about(run, scene, base, weights), settings=settings_in_words(spec, model, settings, old),
                   photo_size=batches[0].scored[0].valid.shape[::-1],
                   learned_before=tell_learned(run, model, batches, old))
    judge = judge_of(run, scene, old, weights)
    with Tracker(run.out, warn=run.progress.warn) as tracker:
        return Examination(run, model, batches, old, settings, judge, tracker, told).go_on()


def lpips_weights(run: Run[Eval]) -> Path | None:
    given = run.spec.lpips_weights
    if given:
        require_inside("lpips_weights", Path(given), run.roots)
    found = find_weights(given)
    if given and found is None:
        run.progress.warn(f"lpips_weights {given} is not there; LPIPS is not computed")
    return found


def truth_of(run: Run[Eval], scene: Scene) -> GroundTruth:
    """Of the town that data_path names; where it names a prepared scene, of the town in whose out/ this lies."""
    found, root = GroundTruth.beside(Path(run.spec.data_path)), scene.root.resolve()
    if found.depths or root.parent.name != "out" or not is_inside(root.parents[1], run.roots):
        return found
    return GroundTruth.beside(root.parents[1])


def judge_of(run: Run[Eval], scene: Scene, old: OldPhotos, weights: Path | None) -> Judge:
    spec = run.spec
    train = [(loaded.colours, loaded.valid) for loaded in old.replayed]
    return Judge(truth_of(run, scene), mean_colour(train) if train else None,
                 Lpips(weights) if weights else None, spec.near or 0.0, math.inf if spec.far is None else spec.far,
                 bool(spec.batch), spec.chunk_points, run.stop_requested)


@dataclass
class Examination:
    run: Run[Eval]
    model: Model  # the base
    batches: Sequence[Batch[LoadedPhoto]]
    old: OldPhotos
    settings: AdaptSettings
    judge: Judge
    tracker: Tracker
    about: Evaluation  # without scores yet
    findings: Findings = field(default_factory=Findings)
    done: int = 0  # of the work, in steps of adaptation

    def __post_init__(self) -> None:
        self.ttos = sorted(set(self.run.spec.tto))
        self.gallery = Gallery.of(self.run.out, [loaded for batch in self.batches for loaded in batch.scored])
        self.findings.trained_on = self.old.trained_on or bool(learned_among(self.model, self.old.watched))
        self.findings.unchanged_only = bool(self.run.spec.batch) and all(map(self.judge.knows_changes,
                                                                             self.old.watched))
        self.looks = 2 if self.run.spec.protocol == "same_images" else 1  # the photo's own one too
        scored = sum(len(batch.scored) for batch in self.batches) * len(self.ttos)
        recalls = 1 + len(self.batches) * sum(map(bool, self.ttos))  # the base's is the one before all batches
        self.work = max(self.ttos) * len(self.batches) + PICTURE_COST * (
            scored * self.looks + len(self.old.watched) * recalls)

    def go_on(self) -> Result:
        try:
            self.findings.before = self._recall(self.model)
            for number, batch in enumerate(self.batches):
                self._examine(number, batch)
        except (StopRequested, RenderCancelled) as error:
            raise StopRequested("stopped on request; what was scored by then is told",
                                self._cut_short("stopped")) from error
        except AdaptiveNerfError:
            self._cut_short("failed")
            raise
        except (MemoryError, RuntimeError) as error:
            if ran_out_of_memory(error):
                self._cut_short("out of memory")
            raise
        result = self._leave()
        if result is None:
            raise BadData(self.run.spec.data_path, "no photo to score has a valid pixel",
                          expected="photos with a picture in them")
        return result

    def _examine(self, number: int, batch: Batch[LoadedPhoto]) -> None:
        """One batch: through all numbers of steps, scored at each."""
        verdicts: list[Verdict] = []
        self.findings.batches.append(verdicts)
        self.findings.adapted.append(len(batch.adapted))
        learner = Learner(self.model, batch.adapted, self.old.replayed, self.settings, self.run.stop_requested,
                          lambda steps, taken: self._tell_step(number, steps, taken))
        for tto in self.ttos:
            model = learner.after(tto)
            if learner.patience.skipped:
                self.run.progress.warn("adapting left out steps or made them smaller, see log.txt")
            verdict = Verdict(tto, learner.seconds, learner.set_up_s)
            for loaded in batch.scored:
                self._score(model, loaded, verdict, tracked=number == 0 and len(verdict.photos) < PICTURES_TRACKED)
            verdict.old = self._recall(model) if tto else self.findings.before
            verdicts.append(verdict)
            self._tell_scores()

    def _score(self, model: Model, loaded: LoadedPhoto, verdict: Verdict, tracked: bool) -> None:
        frame = self.judge.look(model, loaded, verdict, in_own_look=self.looks > 1)
        self.gallery.hang(loaded, frame, verdict.tto)
        if tracked:
            name = self.gallery.names[loaded.photo.stem]
            self.tracker.picture(verdict.tto, f"pred/{name}", photo_pixels(np.asarray(frame.rgb)))
        self._tell_work(PICTURE_COST * self.looks)

    def _recall(self, model: Model) -> list[PhotoScore]:
        scores = []
        for loaded in self.old.watched:
            score = self.judge.recall(model, loaded, self.findings.unchanged_only)
            scores += [score] if score else []
            self._tell_work(PICTURE_COST)
        return scores

    def _tell_step(self, number: int, steps: int, taken: Taken) -> None:
        told = {"loss": taken.loss, "psnr_db": taken.psnr_db}
        self.tracker.scalars(steps, {f"adapt/batch_{number}_{name}": value for name, value in told.items()})
        self._tell_work(1, {"adapt_loss": taken.loss, "adapt_psnr_db": taken.psnr_db})

    def _tell_work(self, cost: int, metrics: dict[str, float] | None = None) -> None:
        self.done += cost
        self.run.progress.step(min(self.done, self.work), self.work, metrics)

    def _tell_scores(self) -> None:
        """Of all batches so far: the curves are over the number of steps."""
        evaluation = with_findings(self.about, self.findings)
        if evaluation is None:
            return
        metrics = metrics_of(evaluation)
        self.run.progress.step(min(self.done, self.work), self.work, {
            name: value for name, value in metrics.items() if name.startswith(("neutral_db_", "fitted_db_"))})
        for record in evaluation.ttos:
            told = {name.removesuffix(f"_{record.tto}"): value for name, value in metrics.items()
                    if name.endswith(f"_{record.tto}")}
            self.tracker.scalars(record.tto, {f"eval/{name}": value for name, value in told.items()})

    def _cut_short(self, how: str) -> Result | None:
        self.run.progress.warn(f"{how}: {len(self.findings.batches)} of {len(self.batches)} batches were begun")
        return self._leave()

    def _leave(self) -> Result | None:
        """Everything for people, from what was scored; None where nothing was."""
        evaluation = with_findings(replace(self.about, warnings=self.run.progress.warnings), self.findings)
        if evaluation is None:
            return None
        for record in evaluation.ttos:
            log.info("%s", in_words(record))
        write_metrics_csv(self.run.out / METRICS, evaluation)
        write_per_image_csv(self.run.out / PER_IMAGE, evaluation)
        atomic_files.write_json(self.run.out / EVERYTHING, evaluation.to_json())
        write_report(self.run.out / REPORT, evaluation, self.gallery.strips())
        return Result((REPORT, METRICS, PER_IMAGE, EVERYTHING, "gt", "pred", "error", "depth"),
                      metrics_of(evaluation))
