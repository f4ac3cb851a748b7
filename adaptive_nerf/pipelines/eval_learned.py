"""Photos that a checkpoint has learned before it is evaluated: figures of those are not held out.

A training keeps the looks of its train photos, an adaptation adds those of the photos that it took in.
"""

from __future__ import annotations

from collections.abc import Iterable

from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.jobs.spec import Eval
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.eval_batches import Batch
from adaptive_nerf.pipelines.eval_old_photos import OldPhotos


def learned_among(model: Model, photos: Iterable[LoadedPhoto]) -> tuple[str, ...]:
    """Stems of those that the model knows."""
    known = set(model.appearance.photo_ids)
    return tuple(loaded.photo.stem for loaded in photos if loaded.photo.photo_id in known)


def tell_learned(run: Run[Eval], model: Model, batches: Iterable[Batch[LoadedPhoto]], old: OldPhotos,
                 ) -> tuple[str, ...]:
    """Warns of scored photos, and of watched val photos, that were learned before. -> stems of the scored ones"""
    scored = [loaded for batch in batches for loaded in batch.scored]
    learned, watched = learned_among(model, scored), learned_among(model, old.watched)
    if learned and run.spec.protocol == "held_out":
        run.progress.warn(f"{len(learned)} of {len(scored)} scored photos were learned before, by "
                          f"{_learner(model, run.spec.batch)}: these are not held-out figures")
    if watched and not old.trained_on:
        run.progress.warn(f"{len(watched)} of {len(old.watched)} old photos that tell what is forgotten were learned "
                          f"before, by {_learner(model, '')}")
    return learned


def _learner(model: Model, batch: str) -> str:
    """Who took in the photos of a flight, or the val photos."""
    if any(done.op == "adapt" and done.batch == batch for done in model.lineage):
        return f"adapt of flight {batch}" if batch else "adapt of the val photos"
    return "the training"
