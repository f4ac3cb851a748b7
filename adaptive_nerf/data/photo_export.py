"""One photo from where it was taken to where a scene wants it: undistorted picture, metadata, valid pixels.

A finished photo leaves a record of what it was made from. The next run of a killed command finds the record, and does
not do the photo again if nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.photos import photo_metadata
from adaptive_nerf.data.source_photos import SourcePhoto
from adaptive_nerf.data.tensor_files import save_tensors
from adaptive_nerf.data.undistort import Pinhole, picture_bytes, pinhole_of, undistort
from adaptive_nerf.data.valid_borders import mask_png, undistortion_borders
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import Array

RECORD_VERSION = 1


@dataclass(frozen=True)
class PhotoTask:
    photo_id: int
    source: SourcePhoto
    c2w_scene: Array  # [3, 4] float64
    folder: Path  # gets rgbs/, metadata/, valid/
    records: Path
    jpeg_quality: int

    @property
    def stem(self) -> str:
        return f"{self.photo_id:06d}"

    @property
    def record_path(self) -> Path:
        return self.records / f"{self.stem}.json"


@dataclass(frozen=True)
class PhotoOutcome:
    photo_id: int
    width: int
    height: int
    copied: bool  # byte for byte
    invalid_share: float
    found_borders: bool  # in the photo itself, not from the lens


def export_photo(task: PhotoTask) -> PhotoOutcome:
    done = _finished(task)
    return done if done is not None else _export(task)


def _export(task: PhotoTask) -> PhotoOutcome:
    source = task.source
    rgb = source.pixels()
    if rgb.shape[:2] != (source.camera.height, source.camera.width):
        raise BadData(source.path, "changed while it was read", expected="photos that nobody writes to")
    pinhole = pinhole_of(source.camera)
    undistorted = undistort(rgb, source.camera)
    content, suffix = _picture(task, undistorted)
    valid_png, invalid_share = pinhole.valid_png, pinhole.invalid_share
    borders = undistortion_borders(undistorted) if source.camera.is_pinhole else None
    if borders is not None:
        valid_png, invalid_share = mask_png(borders), float((~borders).mean())
    _remove_stale(task)
    atomic_files.write_bytes(task.folder / "rgbs" / f"{task.stem}{suffix}", content)
    if valid_png is not None:
        (task.folder / "valid").mkdir(exist_ok=True)
        atomic_files.write_bytes(task.folder / "valid" / f"{task.stem}.png", valid_png)
    save_tensors(task.folder / "metadata" / f"{task.stem}.pt", _metadata(task, pinhole))
    outcome = PhotoOutcome(task.photo_id, pinhole.width, pinhole.height, source.can_be_copied, invalid_share,
                           borders is not None)
    atomic_files.write_json(task.record_path, {"made_from": _made_from(task), "outcome": asdict(outcome)})
    return outcome


def _picture(task: PhotoTask, undistorted: npt.NDArray[np.uint8]) -> tuple[bytes, str]:
    if task.source.can_be_copied:
        return task.source.path.read_bytes(), ".png" if task.source.stored_as == "PNG" else ".jpg"
    return picture_bytes(undistorted, task.source.stored_as, task.jpeg_quality)


def _metadata(task: PhotoTask, pinhole: Pinhole) -> dict[str, Any]:
    camera = Camera(pinhole.width, pinhole.height, pinhole.fx, pinhole.fy, pinhole.cx, pinhole.cy, task.c2w_scene,
                    FrameName.SCENE)
    source = task.source
    return photo_metadata(camera, source.camera.distortion, source.captured_at, source.camera.camera_id)


def _remove_stale(task: PhotoTask) -> None:
    """What an earlier run made of this photo before its file was exchanged."""
    for name in (f"rgbs/{task.stem}.jpg", f"rgbs/{task.stem}.png", f"valid/{task.stem}.png"):
        (task.folder / name).unlink(missing_ok=True)


def _made_from(task: PhotoTask) -> dict[str, Any]:
    """Everything that the bytes of this photo depend on."""
    source = task.source
    pose = hashlib.sha256(np.ascontiguousarray(task.c2w_scene, np.float64).tobytes()).hexdigest()
    return {"version": RECORD_VERSION, "name": source.name, "bytes": source.bytes, "modified_ns": source.modified_ns,
            "camera": [source.camera.camera_id, source.camera.model, source.camera.width, source.camera.height,
                       list(source.camera.params)],
            "turned": source.turned, "captured_at": source.captured_at, "pose": pose,
            "jpeg_quality": task.jpeg_quality}


def _finished(task: PhotoTask) -> PhotoOutcome | None:
    try:
        record = json.loads(task.record_path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if record.get("made_from") != _made_from(task):
        return None
    return PhotoOutcome(**record["outcome"])
