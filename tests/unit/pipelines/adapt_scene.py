"""A trained model of four experts on the tiny scene, and a later flight over its south-western corner, where a red
block has come to stand. The photos of that flight were taken through a long lens: most experts see nothing new."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.photos import photo_metadata
from adaptive_nerf.data.tensor_files import save_tensors
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.pipelines import build, joint
from adaptive_nerf.pipelines.meta_training import train
from tests.unit.pipelines.training.factory import FRAME, Heard, training_run, write_training_scene

FLIGHT, TRAINED_STEPS = "later", 80
BLOCK = (slice(8, 20), slice(10, 22))  # of the new photos' rows and columns: what has changed
LATER_IDS = (12, 13, 14)


def make_adapted_root(root: Path) -> Path:
    """root/scene and root/logs/trained; cells are as coarse as the scene is small, and empty ones are closed early."""
    scene = write_training_scene(root / "scene")
    _add_flight(scene)
    with pytest.MonkeyPatch.context() as patch:
        small_world(patch)
        train(training_run(scene, root / "logs" / "trained", mask_dirname="quad", outer_steps=TRAINED_STEPS))
    return root


def small_world(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(build, "CELLS_ALONG_LONGEST_SIDE", 64)
    patch.setattr(joint, "REBUILD_EVERY", 2)
    patch.setattr(joint, "HELD_STEPS", 30)


def _add_flight(scene: Path) -> None:
    folder, items = scene / "continual" / FLIGHT, []
    for kind in ("metadata", "rgbs"):
        (folder / kind).mkdir(parents=True)
    for photo_id in LATER_IDS:
        save_tensors(folder / "metadata" / f"{photo_id:06d}.pt", photo_metadata(_camera(photo_id), [0.0] * 5))
        _photograph(photo_id).save(folder / "rgbs" / f"{photo_id:06d}.png")
        items.append({"image_name": f"LATER_{photo_id}.JPG", "id": f"{photo_id:06d}"})
    (folder / "manifest.json").write_text(json.dumps({"batch_tag": FLIGHT, "count": len(items), "items": items}))


def _camera(photo_id: int) -> Camera:
    position = np.array([photo_id - 14.0, -14.0, 24.0])
    pose = look_at(position, position - np.array([0.0, 0.0, 30.0]), np.array([0.0, 1.0, 0.0]))
    return Camera(32, 24, 70.0, 70.0, 16.0, 12.0, pose, FrameName.ENU).in_frame(FrameName.SCENE, FRAME)


def _photograph(photo_id: int) -> Image.Image:
    """Grey ground of some grain, and the block."""
    grain = np.random.default_rng(photo_id).uniform(-8, 8, (24, 32, 1))
    picture = np.clip(np.array([110.0, 120.0, 110.0]) + grain, 0, 255).astype(np.uint8)
    picture[BLOCK] = (230, 20, 20)
    return Image.fromarray(picture)


def adapt_run(root: Path, out: Path, stop: Callable[[], bool] = lambda: False, **fields: object) -> Run:
    """`root`: that of make_adapted_root. Jobs may lie anywhere; `fields` change the message, None leaves one out."""
    message = adapt_message(root, **fields)
    out.mkdir(parents=True, exist_ok=True)
    read = job_of(message)
    return Run(read.job, out, Heard(out / "progress.json"), stop, idle=read.idle)


def adapt_message(root: Path, **fields: object) -> dict[str, object]:
    message = {"op": "adapt", "data_path": str(root / "scene"), "checkpoint_path": str(root / "logs" / "trained"),
               "prefix": "last", "batch": FLIGHT, "downscale": 1.0, "tto": 8, "support_rays": 128, "use_amp": False,
               **fields}
    return {name: value for name, value in message.items() if value is not None}
