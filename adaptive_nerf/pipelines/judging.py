"""Scores pictures against photos, with all that is known of them: valid pixels, depth, what an event changed, LPIPS."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from adaptive_nerf.data.ground_truth import GroundTruth, Known
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.eval_records import PhotoRecord
from adaptive_nerf.pipelines.expert_scores import ExpertScores
from adaptive_nerf.pipelines.lpips_score import Lpips
from adaptive_nerf.pipelines.metrics import PhotoScore, Truth, score_photo
from adaptive_nerf.pipelines.scoring import picture_from
from adaptive_nerf.rendering.types import Frame, Output, never_cancelled

OUTPUTS = frozenset({Output.RGB, Output.DEPTH, Output.EXPERT})
UNCHANGED, CHANGED = 0, 1  # regions of Verdict.changes


@dataclass
class Verdict:
    """On the photos of one batch after so many steps."""

    tto: int
    adapt_s: float
    set_up_s: float = 0.0  # of that, before the first step
    photos: list[PhotoRecord] = field(default_factory=list)
    experts: ExpertScores = field(default_factory=ExpertScores)
    changes: ExpertScores = field(default_factory=ExpertScores)
    old: list[PhotoScore] = field(default_factory=list)


@dataclass
class Judge:
    truth: GroundTruth
    plain_colour: npt.NDArray[np.float64] | None = None  # [3]
    lpips: Lpips | None = None
    near_m: float = 0.0
    far_m: float = math.inf
    after_event: bool = False  # the photos are of a later flight: what truth calls changed is news to the model
    chunk_points: int = 262_144
    stopped: Callable[[], bool] = never_cancelled

    def look(self, model: Model, loaded: LoadedPhoto, verdict: Verdict, in_own_look: bool) -> Frame:
        """Render one photo's view and put its scores into the verdict. Photos without a valid pixel have none."""
        frame, known = self._picture(model, loaded), self._known(loaded)
        own = self._picture(model, loaded, own=True).rgb if in_own_look else None
        rgb = np.asarray(frame.rgb)
        truth = Truth(loaded.colours, loaded.valid, known.depth_m if known else None, self.plain_colour)
        lpips = self.lpips.score(rgb, loaded.colours, loaded.valid) if self.lpips else None
        score = score_photo(rgb, truth, frame.depth_m, lpips, own)
        if score is not None:
            verdict.photos.append(PhotoRecord(loaded.photo.name, loaded.photo.stem, verdict.tto, score))
            verdict.experts.add(rgb, truth, np.asarray(frame.expert_id))
            if self.after_event and known is not None and known.changed is not None:
                verdict.changes.add(rgb, truth, np.where(known.changed, CHANGED, UNCHANGED))
        return frame

    def recall(self, model: Model, loaded: LoadedPhoto, unchanged_only: bool) -> PhotoScore | None:
        """How well an old photo is still shown, where nothing changed since, if that is known and wanted."""
        known = self._known(loaded) if unchanged_only else None
        valid = loaded.valid & ~known.changed if known and known.changed is not None else loaded.valid
        return score_photo(np.asarray(self._picture(model, loaded).rgb), Truth(loaded.colours, valid))

    def knows_changes(self, loaded: LoadedPhoto) -> bool:
        return loaded.photo.name in self.truth.changes

    def _known(self, loaded: LoadedPhoto) -> Known | None:
        height, width = loaded.valid.shape
        return self.truth.of(loaded.photo.name, width, height)

    def _picture(self, model: Model, loaded: LoadedPhoto, own: bool = False) -> Frame:
        mixture = model.mixture("judged", self.chunk_points)
        if own:
            appearance = model.appearance.with_photos([loaded.photo.photo_id])
            mixture = replace(mixture, look=appearance.values[appearance.rows([loaded.photo.photo_id])[0]])
        camera = replace(loaded.camera, near_m=self.near_m, far_m=self.far_m)
        frame = picture_from(mixture, replace(loaded, camera=camera), OUTPUTS, self.stopped)
        self.chunk_points = mixture.chunk_points  # smaller for good, where memory ran out
        return frame
