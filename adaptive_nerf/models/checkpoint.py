"""Checkpoints: one folder, one manifest, one file an expert. Whole or absent; nothing is guessed when one is damaged.

    <folder>/manifest.json  expert_000.safetensors ...  shared.safetensors  optimiser_000.safetensors ...
The optimiser's files can be left out; they hold what only more training needs, the occupancy's maxima too. Experts that
did not change since a base are links to its files.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import math
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData, BadInput, OutputExists
from adaptive_nerf.common.provenance import provenance
from adaptive_nerf.engine.samples import Occupancy, Regions, blocks_of
from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.models import manifest, tensor_files
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.models.architecture import Architecture
from adaptive_nerf.models.field import Field
from adaptive_nerf.models.manifest import ExpertRecord, FileRecord, LineageRecord, Manifest, RegionRecord
from adaptive_nerf.models.model import Lineage, Model
from adaptive_nerf.models.occupancy import OccupancyGrids
from adaptive_nerf.models.parameters import FieldParameters
from adaptive_nerf.models.tensor_files import Tensors

SHARED = "shared.safetensors"
WORD_BYTES = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Opened, not yet read: experts are read when they are asked for."""

    folder: Path
    manifest: Manifest
    digest: str  # of the manifest, which holds those of all files

    @property
    def architecture(self) -> Architecture:
        return Architecture.from_json(self.manifest.architecture)

    @property
    def scene_frame(self) -> SceneFrame:
        return SceneFrame.from_json(self.manifest.scene_frame)

    @property
    def experts(self) -> tuple[int, ...]:
        return tuple(record.id for record in self.manifest.experts)

    @property
    def version(self) -> str:
        """Short, for people: which checkpoint, and which bytes."""
        return f"{self.folder.name}-{self.digest[:8]}"

    def regions(self, experts: Collection[int] | None = None) -> Regions:
        """Of all experts, or of some: places along a ray, and so the picture, do not depend on which."""
        told = self.manifest.regions
        boxes, centroids = ([tuple(row) for row in rows] for rows in (told.boxes, told.centroids))
        everything = Regions(tuple(boxes), tuple(centroids), told.margin, tuple(told.axes), told.routing)
        if experts is None:
            return everything
        kept = [place for place, expert in enumerate(self.experts) if expert in experts]
        return replace(everything, boxes=tuple(boxes[place] for place in kept),
                       centroids=tuple(centroids[place] for place in kept), whole=everything.bounds)

    def load(self, experts: Collection[int] | None = None, device: torch.device | str = "cpu",
             held: Model | None = None) -> Model:
        """The model with all experts, or with some of them; digests are checked. What `held` has is not read again."""
        records = [record for record in self.manifest.experts if experts is None or record.id in experts]
        missing = sorted(set(experts or ()) - set(self.experts))
        if missing or not records:
            raise BadInput(f"{self.folder} has no expert {missing[0] if missing else 'that was asked for'}; "
                           f"it has {', '.join(map(str, self.experts))}")
        shape, regions = self.architecture, self.regions(experts)
        occupancy = Occupancy.full(regions, self.manifest.regions.cell)
        there = {} if held is None else {expert: expert_tensors(held, slot)
                                         for slot, expert in enumerate(held.field.experts)}
        parts = [_moved(there.get(record.id) or self._expert(record, shape, _words(occupancy, slot)), device)
                 for slot, record in enumerate(records)]
        shared = _moved(self._shared(shape), device)
        heads = shared["head"][None] if shape.head == "shared" else torch.stack([part["head"] for part in parts])
        parameters = FieldParameters(torch.stack([part["table"] for part in parts]),
                                     torch.stack([part["trunk"] for part in parts]), heads, shared["background"][None])
        bits = torch.cat([part["occupancy"] for part in parts])
        grids = OccupancyGrids.of_bits(regions, replace(occupancy, words=bits))
        field = Field(shape, tuple(record.id for record in records), regions, grids, parameters,
                      self.manifest.regions.step)
        appearance = Appearance(shape.appearance, tuple(self.manifest.photo_ids), shared["appearance"],
                                shared["neutral"])
        lineage = tuple(Lineage(**record.model_dump()) for record in self.manifest.lineage)
        return Model(field, appearance, self.scene_frame, self.manifest.scene_id, self.manifest.step,
                     {record.id: record.steps for record in records}, lineage, self.manifest.training)

    def optimiser(self) -> dict[str, Tensors]:
        """By file name without its ending; empty where none was saved."""
        return {record.file.partition(".")[0]: tensor_files.read(self.folder, record)
                for record in self.manifest.optimiser or ()}

    def _shared(self, shape: Architecture) -> Tensors:
        found = tensor_files.read(self.folder, self.manifest.shared)
        width = Appearance.of(shape, ()).values.shape[1]
        needed: dict[str, tuple[int, ...]] = {
            "background": (shape.background.n_weights if shape.background else 0,), "neutral": (width,),
            "appearance": (len(self.manifest.photo_ids), width)}
        if shape.head == "shared":
            needed["head"] = (shape.colour_head.n_weights,)
        tensor_files.require(found, needed, self.folder / SHARED)
        return found

    def _expert(self, record: ExpertRecord, shape: Architecture, words: slice) -> Tensors:
        found = tensor_files.read(self.folder, record)
        needed: dict[str, tuple[int, ...]] = {
            "table": (shape.grid.rows, shape.features), "trunk": (shape.trunk.network.n_weights,),
            "occupancy": (words.stop - words.start,)}
        if shape.head == "own":
            needed["head"] = (shape.colour_head.n_weights,)
        tensor_files.require(found, needed, self.folder / record.file)
        return found


def open_checkpoint(folder: Path) -> Checkpoint:
    """Reads the manifest, and looks that every file is there in its size; or none at all of the optimiser's."""
    path = folder / manifest.NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadData(folder, "is no checkpoint", expected=f"a folder with {manifest.NAME}") from error
    told = manifest.read(content, str(path))
    if told.optimiser and not any((folder / record.file).exists() for record in told.optimiser):
        log.warning("%s is without its optimiser's files; who trains on from it begins with fresh moments", folder)
        told = told.model_copy(update={"optimiser": None})
    for record in (*told.experts, told.shared, *(told.optimiser or ())):
        place = folder / record.file
        size = place.stat().st_size if place.exists() else None
        if size != record.bytes:
            raise BadData(place, "is missing" if size is None else f"has {size} bytes",
                          expected=f"{record.bytes} bytes; the checkpoint is not whole, use an older one")
    found = Checkpoint(folder, told, hashlib.sha256(content).hexdigest())
    try:
        _ = found.architecture, found.scene_frame
        _require_room(found, path)
    except (LookupError, TypeError, ValueError) as error:
        raise BadData(path, f"makes no sense: {error!r}", expected="the manifest of a checkpoint") from error
    return found


def _require_room(checkpoint: Checkpoint, path: Path) -> None:
    """Before memory is taken for cells: an expert's file holds them all."""
    cell = checkpoint.manifest.regions.cell
    for box, record in zip(checkpoint.regions().boxes, checkpoint.manifest.experts, strict=True):
        words = math.prod(blocks_of(box, cell))
        if words * WORD_BYTES > record.bytes:
            raise BadData(path, f"tells of more cells than {record.file} has room for", key="regions",
                          expected="the boxes and the cell that the checkpoint was saved with")


def save(folder: Path, model: Model, kind: str, optimiser: Mapping[str, Tensors] | None = None,
         base: Checkpoint | None = None, unchanged: Sequence[int] = ()) -> Checkpoint:
    """Write it beside its place, bring it to the disk, give it its name. `unchanged` experts link to the base's,
    where that is still there."""
    if folder.exists():
        raise OutputExists(folder)
    partial = atomic_files.partial_folder(folder)
    shutil.rmtree(partial, ignore_errors=True)
    atomic_files.make_folder(partial)
    kept = {} if base is None else _linked(base, partial, unchanged)
    experts = [kept.get(expert) or _save_expert(partial, model, slot, expert)
               for slot, expert in enumerate(model.field.experts)]
    shared = tensor_files.write(partial, SHARED, _shared_tensors(model))
    extra = None if optimiser is None else [tensor_files.write(partial, f"{name}.safetensors", tensors)
                                            for name, tensors in optimiser.items()]
    told = _manifest(model, kind, experts, shared, extra)
    atomic_files.write_text(partial / manifest.NAME, told.model_dump_json(indent=2) + "\n")
    atomic_files.publish_folder(partial, folder)
    return open_checkpoint(folder)


def _words(occupancy: Occupancy, slot: int) -> slice:
    return slice(*occupancy.first_words[slot:slot + 2])


def _moved(tensors: Tensors, device: torch.device | str) -> Tensors:
    return {name: value.to(device) for name, value in tensors.items()}


def expert_tensors(model: Model, slot: int) -> Tensors:
    """What an expert's file holds."""
    field = model.field
    tensors = {"table": field.parameters.tables[slot], "trunk": field.parameters.trunks[slot],
               "occupancy": field.grids.occupancy.words[_words(field.grids.occupancy, slot)]}
    if field.architecture.head == "own":
        tensors["head"] = field.parameters.heads[slot]
    return tensors


def _linked(base: Checkpoint, folder: Path, experts: Collection[int]) -> dict[int, ExpertRecord]:
    """Those of the base's experts that are linked now. A training at work may have removed the base meanwhile."""
    found = {}
    for record in base.manifest.experts:
        if record.id in experts:
            with contextlib.suppress(FileNotFoundError):
                link(base.folder / record.file, folder / record.file)
                found[record.id] = record
    return found


def _save_expert(folder: Path, model: Model, slot: int, expert: int) -> ExpertRecord:
    record = tensor_files.write(folder, f"expert_{expert:03d}.safetensors", expert_tensors(model, slot))
    return ExpertRecord(id=expert, steps=model.expert_steps.get(expert, 0), **record.model_dump())


def _shared_tensors(model: Model) -> Tensors:
    tensors = {"background": model.field.parameters.background[0], "appearance": model.appearance.values,
               "neutral": model.appearance.neutral}
    if model.field.architecture.head == "shared":
        tensors["head"] = model.field.parameters.heads[0]
    return tensors


def _manifest(model: Model, kind: str, experts: list[ExpertRecord], shared: FileRecord,
              optimiser: list[FileRecord] | None) -> Manifest:
    regions = model.field.regions
    return Manifest.model_validate(dict(
        format_version=manifest.FORMAT_VERSION, kind=kind, step=model.step,
        architecture=model.field.architecture.to_json(), scene_frame=model.scene_frame.to_json(),
        scene_id=model.scene_id, experts=experts, shared=shared, photo_ids=list(model.appearance.photo_ids),
        regions=RegionRecord(boxes=[list(box) for box in regions.boxes],
                             centroids=[list(place) for place in regions.centroids], margin=regions.margin,
                             axes=list(regions.axes), routing=regions.routing,
                             cell=model.field.grids.occupancy.cell, step=model.field.step),
        optimiser=optimiser, training=dict(model.training),
        lineage=[LineageRecord(**asdict(entry)) for entry in model.lineage],
        made_by={**_machinery(), "at": datetime.now(UTC).isoformat(timespec="seconds")}))


@functools.cache
def _machinery() -> dict[str, Any]:
    return provenance()


def link(source: Path, target: Path) -> None:
    """The same bytes under another name; a copy where the file system knows no such thing."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        with atomic_files.disk_full_named(target):
            shutil.copyfile(source, target)
