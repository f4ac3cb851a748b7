"""What an exact resume needs: from a running training to a checkpoint, and back to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from adaptive_nerf.data.ray_store import RayStore
from adaptive_nerf.engine.engines import engine
from adaptive_nerf.engine.optimise import Moments
from adaptive_nerf.models.checkpoint import Checkpoint
from adaptive_nerf.models.model import Model
from adaptive_nerf.models.occupancy import WORD
from adaptive_nerf.models.tensor_files import Tensors
from adaptive_nerf.pipelines.joint import Joint, Sampling
from adaptive_nerf.pipelines.optimiser import Kind, Optimiser

SHARED = "optimiser_shared"


def model_of(joint: Joint, start: Model, trained: Sequence[int], training: Mapping[str, Any]) -> Model:
    """The model as it stands. `start` is what it was when this job took it up."""
    field = replace(joint.field, parameters=joint.field.parameters.map(torch.Tensor.detach), step=joint.sampling.step)
    appearance = replace(joint.appearance, values=joint.appearance.values.detach(), neutral=neutral_look(joint, start))
    kept = replace(start, field=field, appearance=appearance).trained(trained, joint.step - start.step)
    told = {**training, "sampling": joint.sampling.to_json(), "taken": joint.optimiser.taken}
    return replace(kept, training=told)


def neutral_look(joint: Joint, start: Model) -> Tensor:
    """The mean over the photos; where no photo's look has changed, the neutral one has not either."""
    values, before = joint.appearance.values.detach(), start.appearance.values
    return start.appearance.neutral if torch.equal(values[:len(before)], before) else values[joint.rows].mean(0)


def optimiser_files(joint: Joint) -> dict[str, Tensors]:
    """One file an expert, and one of what they share."""
    moments, grids = joint.optimiser.moments, joint.field.grids
    own_head = len(joint.field.parameters.heads) == len(joint.field.experts) and \
        joint.field.architecture.head == "own"
    files: dict[str, Tensors] = {SHARED: _shared(joint, own_head)}
    for slot, expert in enumerate(joint.field.experts):
        first, last = (place * WORD for place in grids.occupancy.first_words[slot:slot + 2])
        tensors = {"maxima": grids.maxima[first:last]}
        if joint.may is not None:
            tensors["may"] = joint.may[first // WORD:last // WORD]
        for name in ("tables", "trunks", *(["heads"] if own_head else [])):
            tensors |= {f"{name}_first": moments[name].first[slot], f"{name}_second": moments[name].second[slot]}
        files[f"optimiser_{expert:03d}"] = tensors
    return files


def _shared(joint: Joint, own_head: bool) -> Tensors:
    kept = {"appearance": joint.optimiser.appearance_moments, "background": joint.optimiser.moments["background"]}
    if not own_head:
        kept["heads"] = joint.optimiser.moments["heads"]
    return {f"{name}_{which}": getattr(moments, which) for name, moments in kept.items()
            for which in ("first", "second")}


def joint_of(model: Model, store: RayStore, pool: Tensor, kind: Kind, seed: int) -> Joint:
    """A training that begins with the model as it is, with fresh moments."""
    parameters = model.field.parameters.copied()
    field = replace(model.field, parameters=parameters, grids=model.field.grids.copied())
    appearance = model.appearance.with_photos(store.photo_ids)
    appearance = replace(appearance, values=appearance.values.clone())
    optimiser = Optimiser.of(engine(parameters.device), kind, parameters, appearance.values)
    sampling = Sampling(**model.training["sampling"])
    return Joint(field, appearance, store, pool, optimiser, sampling, seed, step=model.step)


def restore(joint: Joint, checkpoint: Checkpoint) -> None:
    """Moments and maxima as they were; what the checkpoint does not hold stays fresh."""
    files = checkpoint.optimiser()
    if not files:
        return
    joint.optimiser.taken = int(checkpoint.manifest.training.get("taken", 0))
    moments, grids = joint.optimiser.moments, joint.field.grids
    for key, value in files.get(SHARED, {}).items():
        name, _, which = key.rpartition("_")
        kept = joint.optimiser.appearance_moments if name == "appearance" else moments[name]
        getattr(kept, which).copy_(value)
    for slot, expert in enumerate(joint.field.experts):
        for key, value in files.get(f"optimiser_{expert:03d}", {}).items():
            first, last = grids.occupancy.first_words[slot:slot + 2]
            if key == "maxima":
                grids.maxima[first * WORD:last * WORD].copy_(value)
            elif key == "may":
                joint.may = torch.full_like(grids.occupancy.words, -1) if joint.may is None else joint.may
                joint.may[first:last].copy_(value)
            else:
                name, _, which = key.rpartition("_")
                _row(moments[name], which, slot).copy_(value)


def _row(moments: Moments, which: str, slot: int) -> Tensor:
    values: Tensor = getattr(moments, which)
    return values[slot]
