"""A scene small enough to train on in a test: three houses on a painted plain, twelve photos of 32x24, two partitions.

Photos differ in exposure, as those of a drone do. `pair` has two experts, `quad` four.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from adaptive_nerf.common.run_progress import Run, RunProgress
from adaptive_nerf.data.clusters import create_clusters, partition_folder
from adaptive_nerf.data.mappings import mappings_text
from adaptive_nerf.data.partition import PartitionSettings
from adaptive_nerf.data.photos import photo_metadata
from adaptive_nerf.data.scene import coordinates_dict, open_scene
from adaptive_nerf.data.tensor_files import save_tensors
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.rendering.types import Output
from tests.unit.pipelines.conftest import corner_in

N_PHOTOS = 12
FRAME = SceneFrame((-24.0, 22.0, 0.0), 30.0, (48.2, 16.4, 180.0), (-10.0, 24.0))
SMALL = {  # a field of a few thousand numbers, and steps of a few milliseconds
    "op": "train", "downscale": 1.0, "levels": 4, "features": 2, "log2_hashmap_size": 10, "max_resolution": 64,
    "dim_hidden": 16, "color_hidden": 16, "bg_hidden": 16, "samples": 4096, "ray_samples": 96, "outer_steps": 6,
    "algo": "joint", "support_rays": 128, "query_rays": 64, "batch_size": 1, "inner_iter": 2, "cell_dim": 2,
    "test_batch_size": 1, "eval_step": 1000, "save_step": 1000, "near": 15.0, "use_amp": False}


def write_training_scene(root: Path, shift_m: float = 0.0, times: int = 1) -> Path:
    """Photos 2 and 5, which others surround, are val. `times`: how much larger pictures are."""
    corner = corner_in(FRAME)
    for photo_id in range(N_PHOTOS):
        split = "val" if photo_id in (2, 5) else "train"
        for kind in ("metadata", "rgbs"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        camera = _camera(photo_id, shift_m).resized(32 * times, 24 * times)
        save_tensors(root / split / "metadata" / f"{photo_id:06d}.pt", photo_metadata(camera, [0.0] * 5))
        _photograph(corner, camera, 0.85 + 0.03 * photo_id).save(root / split / "rgbs" / f"{photo_id:06d}.png")
    save_tensors(root / "coordinates.pt", coordinates_dict(FRAME))
    (root / "mappings.txt").write_text(mappings_text({i: f"DJI_{i}.JPG" for i in range(N_PHOTOS)}))
    scene = open_scene(root)
    for name, grid in (("pair", (1, 2, 1)), ("quad", (1, 2, 2))):
        settings = PartitionSettings(grid, cluster_2d=True, boundary_margin=1.2, ray_samples=32, center_pixels=True)
        create_clusters(scene, settings, partition_folder(scene, name))
    return root


def _camera(photo_id: int, shift_m: float) -> Camera:
    """Three rows of four, each looking a little towards the middle."""
    east, north = 1.0 + 14.0 * (photo_id % 4) + shift_m, 12.0 * (photo_id // 4 - 1)
    position = np.array([east, north, 24.0])
    target = np.array([22.0 + 0.6 * (east - 22.0), 0.6 * north, -10.0])
    pose = look_at(position, target, np.array([0.0, 1.0, 0.0]))
    return Camera(32, 24, 26.0, 26.0, 16.0, 12.0, pose, FrameName.ENU).in_frame(FrameName.SCENE, FRAME)


def _photograph(corner, camera: Camera, exposure: float) -> Image.Image:
    """The mesh, painted with waves that are a function of the place."""
    frame = corner.render(camera, frozenset({Output.RGB, Output.DEPTH}))
    rays = camera_rays(camera)
    places = rays.at(frame.depth_m.ravel() / rays.forward / camera.metres_per_unit).reshape(*frame.depth_m.shape, 3)
    waves = np.sin(places @ np.array([[2.0, 5, 3], [4.0, 2, -5], [3.0, 5, 4]]))
    painted = (0.45 * frame.rgb + 0.35 + 0.2 * waves) * exposure
    return Image.fromarray((np.nan_to_num(painted).clip(0, 1) * 255).round().astype(np.uint8))


class Heard(RunProgress):
    """Progress that also remembers all that it was told."""

    def __init__(self, path: Path):
        self.metrics: list[dict[str, float]] = []
        self.steps: list[tuple[float, float | None]] = []
        super().__init__(path)

    def step(self, step: float, of: float | None = None, metrics: Mapping[str, float] | None = None) -> None:
        self.steps.append((step, of))
        self.metrics.append(dict(metrics or {}))
        super().step(step, of, metrics)

    def losses(self, name: str = "loss") -> list[float]:
        return [told[name] for told in self.metrics if name in told]


def training_run(scene: Path, out: Path, stop: Callable[[], bool] = lambda: False, **fields: object) -> Run:
    """`fields` change the small job; None leaves a field out."""
    message = {**SMALL, "data_path": str(scene), "mask_dirname": "pair", **fields}
    read = job_of({name: value for name, value in message.items() if value is not None})
    out.mkdir(parents=True, exist_ok=True)
    return Run(read.job, out, Heard(out / "progress.json"), stop)


def after_steps(steps: int, then: Callable[[], bool] = lambda: True) -> Callable[[], bool]:
    """A stop that is asked for after so many steps; it is asked once before each photo and each step."""
    left = [steps + N_PHOTOS]

    def stop() -> bool:
        left[0] -= 1
        return left[0] < 0 and then()
    return stop


def last_of(job: Path) -> Checkpoint:
    path = CheckpointStore.of_job(job).pointed("last")
    assert path is not None
    return open_checkpoint(path)


def weights_of(job: Path) -> list[str]:
    """Digests of what the first expert and all together have learned, and of nothing that a job only says."""
    told = last_of(job).manifest
    return [told.experts[0].sha256, told.shared.sha256]


def learned(job: Path) -> dict[str, object]:
    """Digests of all that was learned (weights, occupancy, appearance, moments), and what sampling goes on with."""
    told = last_of(job).manifest
    files: dict[str, object] = {record.file: record.sha256
                                for record in (*told.experts, told.shared, *(told.optimiser or ()))}
    return files | {"step": told.step, "sampling": told.training["sampling"], "taken": told.training["taken"],
                    "steps of experts": [record.steps for record in told.experts]}
