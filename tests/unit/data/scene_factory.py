"""A tiny prepared scene: a few cameras at 50 m that look straight down, 32x24 photos of one colour each."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from adaptive_nerf.data.mappings import mappings_text
from adaptive_nerf.data.photos import photo_metadata
from adaptive_nerf.data.scene import coordinates_dict
from adaptive_nerf.data.tensor_files import save_tensors, zipped_tensor_bytes
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName, SceneFrame

FRAME = SceneFrame((-40.0, 10.0, -20.0), 60.0, (48.2, 16.4, 180.0), (-10.0, 50.0))
NORTH = np.array([0.0, 1.0, 0.0])


def camera_at(east_m: float, north_m: float, up_m: float = 50.0, frame: SceneFrame = FRAME) -> Camera:
    position = np.array([east_m, north_m, up_m])
    pose = look_at(position, position - [0, 0, 10], NORTH)
    return Camera(32, 24, 30.0, 30.0, 16.0, 12.0, pose, FrameName.ENU).in_frame(FrameName.SCENE, frame)


def write_photo(folder: Path, photo_id: int, camera: Camera) -> None:
    for kind in ("metadata", "rgbs"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "metadata" / f"{photo_id:06d}.pt", photo_metadata(camera, [0.0] * 5))
    colour = (40 + 10 * photo_id % 200, 90, 120)
    Image.new("RGB", (camera.width, camera.height), colour).save(folder / "rgbs" / f"{photo_id:06d}.jpg")


def write_scene(root: Path, count: int = 6, frame: SceneFrame = FRAME) -> Path:
    """Photos 0..count-1 on an east-west line; every third is val."""
    root.mkdir(parents=True)
    save_tensors(root / "coordinates.pt", coordinates_dict(frame))
    for photo_id in range(count):
        split = "val" if photo_id % 3 == 0 else "train"
        write_photo(root / split, photo_id, camera_at(10.0 * photo_id, 0.0, frame=frame))
    (root / "mappings.txt").write_text(mappings_text({i: f"DJI, {i}.JPG" for i in range(count)}))
    return root


def save_zipped_tensor(path: Path, tensor: torch.Tensor) -> None:
    """As create_clusters writes a mask."""
    path.write_bytes(zipped_tensor_bytes(path.name, tensor))


def change_metadata(scene: Path, stem: str, **changes: object) -> Path:
    (path,) = scene.rglob(f"metadata/{stem}.pt")
    save_tensors(path, {**torch.load(path, weights_only=True), **changes})
    return path
