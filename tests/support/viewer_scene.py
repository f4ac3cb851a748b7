"""A trained model of a very small scene with a later flight, and `view` jobs on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from adaptive_nerf.common.run_progress import Run, RunProgress
from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.pipelines.meta_training import train
from tests.unit.pipelines.training.factory import training_run, write_training_scene

FLIGHT, TRAINED_STEPS = "after", 6


def make_trained_job(root: Path) -> Path:
    """root/scene and root/logs/trained. Returns the job's folder."""
    scene = write_training_scene(root / "scene")
    add_flight(scene)
    job = root / "logs" / "trained"
    train(training_run(scene, job, outer_steps=TRAINED_STEPS, save_step=3, keep=9))
    return job


def add_flight(scene: Path) -> None:
    """Two of the photos once more, as a later flight."""
    folder, items = scene / "continual" / FLIGHT, []
    for new_id, old_id in ((12, 3), (13, 4)):
        for kind, ending in (("metadata", "pt"), ("rgbs", "png")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(scene / "train" / kind / f"{old_id:06d}.{ending}", folder / kind / f"{new_id:06d}.{ending}")
        items.append({"image_name": f"LATER_{new_id}.JPG", "id": f"{new_id:06d}"})
    (folder / "manifest.json").write_text(json.dumps({"batch_tag": FLIGHT, "count": 2, "items": items}))


def view_run(root: Path, name: str = "look", stop: Callable[[], bool] = lambda: False, **fields: object) -> Run:
    message = {"op": "view", "job_id": name, "data_path": str(root / "scene"), "checkpoint_path": "trained",
               "prefix": "last", "downscale": 1.0, "viewer_host": "127.0.0.1", **fields}
    out = root / "logs" / name
    out.mkdir(parents=True, exist_ok=True)
    return Run(job_of(message).job, out, RunProgress(out / "progress.json"), stop, (root,))
