"""A scene with a trained model, a later flight of five photos, and the truth of a made town for all of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adaptive_nerf.common.run_progress import Run, RunProgress
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.pipelines.meta_training import train
from tests.unit.pipelines.training.factory import training_run, write_training_scene

FLIGHT = "later"
TRUE_DEPTH_M = 30.0
CHANGED = (slice(None), slice(24, 32))  # the right quarter of every photo


def make_evaluated_root(root: Path, times: int = 1) -> Path:
    """root/scene and root/logs/trained. `times`: how much larger pictures are than what is trained on."""
    scene = write_training_scene(root / "scene", times=times)
    _add_flight(scene)
    train(training_run(scene, root / "logs" / "trained", downscale=1 / times))
    return root


def _add_flight(scene: Path) -> None:
    folder, items = scene / "continual" / FLIGHT, []
    for new_id, old_id in enumerate((0, 3, 4, 6, 7), start=12):
        for kind, ending in (("metadata", "pt"), ("rgbs", "png")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(scene / "train" / kind / f"{old_id:06d}.{ending}", folder / kind / f"{new_id:06d}.{ending}")
        items.append({"image_name": f"LATER_{new_id}.JPG", "id": f"{new_id:06d}"})
    (folder / "manifest.json").write_text(json.dumps({"batch_tag": FLIGHT, "count": len(items), "items": items}))


def add_truth(scene: Path) -> None:
    """All surfaces 30 m away; the right quarter of each photo changed."""
    folder, photos = scene / "truth", []
    folder.mkdir()
    changed = np.zeros((24, 32), bool)
    changed[CHANGED] = True
    for photo in open_scene(scene).all_photos:
        files = {"depth": f"{photo.stem}_depth.npy", "change": f"{photo.stem}_change.npy"}
        np.save(folder / files["depth"], np.full((24, 32), TRUE_DEPTH_M, np.float32))
        np.save(folder / files["change"], changed)
        photos.append({"image": photo.name, **files})
    (folder / "metadata.json").write_text(json.dumps({"photos": photos}))


def eval_run(root: Path, name: str, stop: Callable[[], bool] = lambda: False, roots: tuple[Path, ...] = (),
             **fields: object) -> Run:
    message = eval_message(root, job_id=name, **fields)
    out = root / "logs" / name
    out.mkdir(parents=True, exist_ok=True)
    read = job_of(message)
    return Run(read.job, out, RunProgress(out / "progress.json"), stop, roots, read.idle)


def eval_message(root: Path, **fields: object) -> dict[str, object]:
    return {"op": "eval", "data_path": str(root / "scene"), "checkpoint_path": "trained", "prefix": "last",
            "downscale": 1.0, "tto": "0,2,3", "support_rays": 128, "use_amp": False, **fields}
