"""Experts that were trained apart, collected into one checkpoint. Files are linked, not read into a model.

Each part was trained with `experts` from the same base: it holds some experts that learned, and everything else, what
is shared too, as the base has it. The parts together must hold every expert once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.common.provenance import provenance
from adaptive_nerf.models import manifest, tensor_files
from adaptive_nerf.models.checkpoint import Checkpoint, link, open_checkpoint
from adaptive_nerf.models.manifest import ExpertRecord, LineageRecord, Manifest

SAME: dict[str, Callable[[Manifest], Any]] = {  # what all parts must agree in, and how it is called
    "scene": lambda told: (told.scene_id, told.scene_frame),
    "architecture": lambda told: told.architecture,
    "base": lambda told: told.lineage[-1].base,
    "partition or routing": lambda told: told.regions.model_dump(exclude={"step"}),
    "shared part": lambda told: (told.shared.sha256, told.photo_ids)}


def merge(parts: Sequence[Checkpoint], folder: Path) -> Checkpoint:
    """Write the checkpoint `folder`, whole or not at all. Where the same merge has written it before, it is taken."""
    owners = owners_of(parts)
    if folder.exists():
        return _made_before(folder, _merged(parts, owners))
    partial = atomic_files.partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    atomic_files.make_folder(partial)
    first = parts[0]
    for source, record in [(first, first.manifest.shared),
                           *((owner, record_of(owner, expert)) for expert, owner in owners.items())]:
        tensor_files.read(source.folder, record)  # a damaged file is not spread
        link(source.folder / record.file, partial / record.file)
    told = _merged(parts, owners)
    atomic_files.write_text(partial / manifest.NAME, told.model_dump_json(indent=2) + "\n")
    atomic_files.publish_folder(partial, folder)
    return open_checkpoint(folder)


def _made_before(folder: Path, told: Manifest) -> Checkpoint:
    there = open_checkpoint(folder)
    if (there.manifest.kind, there.manifest.experts, there.manifest.shared) != (told.kind, told.experts, told.shared):
        raise BadUsage(f"{folder} exists already and holds another model; choose another name, or remove it")
    return there


def owners_of(parts: Sequence[Checkpoint]) -> dict[int, Checkpoint]:
    """Which part has trained each expert. Refuses parts that do not belong together, experts twice or missing."""
    for part in parts:
        trained_experts(part)
        _require_same(parts[0], part)
    owners: dict[int, Checkpoint] = {}
    for part in parts:
        for expert in trained_experts(part):
            if expert in owners:
                raise BadUsage(f"expert {expert} was trained twice, in {owners[expert].folder} and in {part.folder}; "
                               "give one of them")
            owners[expert] = part
    missing = [str(expert) for expert in parts[0].experts if expert not in owners]
    if missing:
        raise BadUsage(f"no part has trained expert {', '.join(missing)}; "
                       f"train it with \"experts\": [{', '.join(missing)}] from the same base, and give that too")
    return {expert: owners[expert] for expert in parts[0].experts}


def trained_experts(part: Checkpoint) -> list[int]:
    told = part.manifest
    experts = told.training.get("experts")
    if told.kind != "train" or not experts or not told.lineage:
        raise BadData(part.folder, "was not trained with `experts`",
                      expected="a checkpoint of a job `train` that names the experts it trains")
    return list(experts)


def record_of(part: Checkpoint, expert: int) -> ExpertRecord:
    return next(record for record in part.manifest.experts if record.id == expert)


def _require_same(first: Checkpoint, other: Checkpoint) -> None:
    for name, of in SAME.items():
        if of(first.manifest) != of(other.manifest):
            raise BadData(other.folder, f"has another {name} than {first.folder}",
                          expected="parts that were trained apart from one and the same checkpoint")


def _merged(parts: Sequence[Checkpoint], owners: dict[int, Checkpoint]) -> Manifest:
    """Steps along rays are the finest of the parts: none of them then sees less than it was trained for."""
    finest = min(parts, key=lambda part: part.manifest.regions.step).manifest
    now = datetime.now(UTC).isoformat(timespec="seconds")
    begun = parts[0].manifest.lineage[:-1]
    added = [LineageRecord(base=part.manifest.lineage[-1].base, op="merge", batch=_said(part),
                           steps=part.manifest.lineage[-1].steps, at=now) for part in parts]
    return finest.model_copy(update={
        "kind": "merge", "step": max(part.manifest.step for part in parts), "shared": parts[0].manifest.shared,
        "experts": [record_of(owner, expert) for expert, owner in owners.items()], "optimiser": None,
        "training": {"sampling": finest.training["sampling"]}, "lineage": [*begun, *added],
        "made_by": {**provenance(), "at": now}})


def _said(part: Checkpoint) -> str:
    return f"experts {', '.join(map(str, trained_experts(part)))} of {part.version}"
