"""What is evaluated, on what, and what the figures depend on: an Evaluation that has no photos yet."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import torch

from adaptive_nerf.common.provenance import machine
from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Eval
from adaptive_nerf.models.checkpoint import Checkpoint
from adaptive_nerf.models.model import Model
from adaptive_nerf.pipelines.adapter import AdaptSettings
from adaptive_nerf.pipelines.eval_old_photos import OldPhotos
from adaptive_nerf.pipelines.eval_records import Evaluation
from adaptive_nerf.pipelines.lpips_score import NOT_COMPUTED
from adaptive_nerf.pipelines.opening import device_of


def about(run: Run[Eval], scene: Scene, base: Checkpoint, weights: Path | None) -> Evaluation:
    spec = run.spec
    return Evaluation(
        job_id=spec.job_id or run.out.name, protocol=spec.protocol, scene=shown(scene.root), batch=spec.batch,
        checkpoint=shown(base.folder), made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine_in_words(device_of(spec)), photo_size=(0, 0), photos_adapted=0, ttos=(),
        photos=(), lpips=str(weights or NOT_COMPUTED))


def settings_in_words(spec: Eval, model: Model, settings: AdaptSettings, old: OldPhotos) -> dict[str, str]:
    """By what people would ask for; lengths in metres."""
    units, rates, regions = model.scene_frame.metres_per_unit, settings.rates, model.field.regions
    replay = f"{settings.replay:.0%} of the rays, from {len(old.replayed)} old photos" if settings.replay else "none"
    return {
        "Trained for": f"{model.step} steps",
        "Experts": f"{len(model.field.experts)}, routing {regions.routing}, margin {regions.margin:g}",
        "Working size": f"{spec.downscale:g} of the photos' full size",
        "Photos a batch": str(spec.test_batch_size),
        "Rays a step": f"{settings.rays}, from {settings.near * units:.1f} m on{_until(settings.far * units)}",
        "Replay": replay,
        "Learning rates": (f"{settings.kind}: tables {rates.tables:g}, trunks {rates.trunks:g}, "
                           f"appearance {rates.appearance:g}; what experts share is frozen"),
        "Appearance": model.appearance.kind,
        "Seed": str(settings.seed)}


def _until(far_m: float) -> str:
    return "" if math.isinf(far_m) else f" to {far_m:g} m"


def machine_in_words(device: torch.device) -> str:
    told = machine()
    cores = f"{told['cores']} cores of {told['cpu']}"
    return cores if device.type == "cpu" else f"{torch.cuda.get_device_name(device)}, {cores}"


def shown(path: Path) -> str:
    """From the folder that the work is done in, where it lies there."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
