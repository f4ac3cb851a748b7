"""Which checkpoints a page offers beside the model that it shows, by names for people.

They are those of the same training, those that this page's job saved, and those of other jobs that were made from one
of them: a checkpoint's lineage names the digest of what it began with.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.models import manifest
from adaptive_nerf.models.checkpoint_store import FOLDER, CheckpointStore
from adaptive_nerf.models.manifest import LineageRecord

MOST_REMEMBERED = 4096
MADE_BY = {"train": "Trained further", "merge": "Merged"}


class Told(NamedTuple):
    """By a checkpoint's manifest."""

    digest: str
    lineage: tuple[LineageRecord, ...]


def checkpoints_beside(folder: Path, job: Path) -> dict[str, Path]:
    """Of the checkpoint in `folder`, for the page of `job`: the job's own, then what was made from it, then others of
    its training; of each the newest first."""
    own, training = CheckpointStore.of_job(job), CheckpointStore(folder.parent)
    found = _of_store(own, "saved here") | made_from(training, job.parent, {own.folder.resolve()})
    for name, path in _of_store(training, "", _best_of(training)).items():
        found.setdefault(name, path)
    return {name: path for name, path in found.items() if path.resolve() != folder.resolve()}


def _of_store(store: CheckpointStore, kind: str, best: Path | None = None) -> dict[str, Path]:
    found = {}
    for step, path in sorted(store.steps().items(), reverse=True):
        notes = ", ".join(note for note in (kind, "best" if path == best else "") if note)
        found[f"Checkpoint of step {step}" + (f" ({notes})" if notes else "")] = path
    return found


def _best_of(training: CheckpointStore) -> Path | None:
    """None also where its pointer is damaged: its checkpoints are offered all the same."""
    try:
        return training.pointed("best")
    except (BadData, OSError):
        return None


def made_from(training: CheckpointStore, logs: Path, but: set[Path]) -> dict[str, Path]:
    """Checkpoints of the other jobs in `logs` that began with one of this training's, not in the stores `but`."""
    bases = {told.digest for path in training.steps().values() if (told := told_by(path)) is not None}
    found = {}
    for store in sorted(logs.glob(f"*/{FOLDER}")):
        if store.resolve() in {*but, training.folder.resolve()}:
            continue
        for _, path in sorted(CheckpointStore(store).steps().items(), reverse=True):
            told = told_by(path)
            if told is not None and any(record.base in bases for record in told.lineage):
                found[f"{_made_how(told.lineage[-1])} ({store.parent.name})"] = path
    return found


def _made_how(record: LineageRecord) -> str:
    how = MADE_BY.get(record.op) or f"Adapted to {record.batch or 'the check photos'}"
    return f"{how}: {record.steps} steps"


def told_by(folder: Path) -> Told | None:
    """None where it is damaged, or gone meanwhile: it is not offered."""
    path = folder / manifest.NAME
    try:
        return _told_by(path, path.stat().st_mtime_ns)
    except (OSError, BadData):
        return None


@lru_cache(MOST_REMEMBERED)
def _told_by(path: Path, _: int) -> Told:
    """Read once: a checkpoint does not change, and pages ask again and again."""
    content = path.read_bytes()
    return Told(hashlib.sha256(content).hexdigest(), tuple(manifest.read(content, str(path)).lineage))
