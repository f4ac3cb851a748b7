"""COLMAP models, read through pycolmap and checked: cameras, posed images in the order of their names, points."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.common.say import say
from adaptive_nerf.data import colmap_reader
from adaptive_nerf.geometry.types import Array

READ_SECONDS, READ_SECONDS_PER_MEGABYTE = 60, 2
QUATERNION_TOLERANCE = 1e-3
NAMES_SHOWN = 5
DISTORTION_SIZES = (5, 12, 16)  # 16: RAD_TAN_THIN_PRISM_FISHEYE


@dataclass(frozen=True)
class ColmapCamera:
    """One calibration, in COLMAP's own parameters. Hashable: photos of one camera share what is derived from it."""

    camera_id: int
    model: str
    width: int
    height: int
    params: tuple[float, ...]

    def pycolmap_camera(self) -> pycolmap.Camera:
        return pycolmap.Camera(model=self.model, width=self.width, height=self.height, params=list(self.params))

    def resized(self, width: int, height: int) -> ColmapCamera:
        """The same camera for a photo that was stored at another size."""
        camera = self.pycolmap_camera()
        camera.rescale(width, height)
        return ColmapCamera(self.camera_id, self.model, width, height, tuple(float(number) for number in camera.params))

    @property
    def is_pinhole(self) -> bool:
        """Its photos are undistorted as they are."""
        camera = self.pycolmap_camera()
        return camera.is_perspective_pinhole() and camera.is_undistorted()

    @property
    def undistort_kind(self) -> str:
        if self.is_pinhole:
            return "none"
        return "fisheye" if self.pycolmap_camera().is_perspective_fisheye() else "opencv"

    @property
    def distortion(self) -> list[float]:
        """COLMAP's distortion parameters, padded to 5, 12 or 16: for information only."""
        camera = self.pycolmap_camera()
        numbers = [float(camera.params[index]) for index in camera.extra_params_idxs()]
        return numbers + [0.0] * (next(size for size in DISTORTION_SIZES if size >= len(numbers)) - len(numbers))


@dataclass(frozen=True)
class ColmapImage:
    name: str
    camera: ColmapCamera
    world_to_camera: Array = field(compare=False)  # [3, 4] float64, RDF axes


@dataclass(frozen=True)
class ColmapModel:
    folder: Path
    images: tuple[ColmapImage, ...]  # by name
    points: Array  # [n, 3]
    digest: str  # of the files it was read from
    warnings: tuple[str, ...]


def read_model(folder: Path) -> ColmapModel:
    if not folder.is_dir():
        raise BadData(folder, "is not a folder", expected="a COLMAP model: cameras, images, points3D (.bin or .txt)")
    arrays = _read_in_child(folder)
    warnings: list[str] = []
    cameras = {value["camera_id"]: _camera(value) for value in json.loads(str(arrays["cameras"]))}
    names = json.loads(str(arrays["names"]))
    if not cameras or not names:
        raise BadData(folder, f"holds {len(cameras)} cameras and {len(names)} posed images", expected="some of both")
    world_to_camera = _poses(arrays, names, folder, warnings)
    images = [ColmapImage(name, _known_camera(cameras, int(camera_id), name, folder), pose)
              for name, camera_id, pose in zip(names, arrays["camera_ids"], world_to_camera, strict=True)]
    _require_plain_names(names, folder)
    for image in images:
        _require_usable(image.camera, folder)
    if arrays["without_pose"]:
        warnings.append(f"{folder}: {int(arrays['without_pose'])} images have no pose and are left out")
    return ColmapModel(folder, tuple(sorted(images, key=lambda image: image.name)),
                       _finite_points(arrays["points"], folder, warnings), _digest(folder), tuple(warnings))


def first_few(names: Sequence[str]) -> str:
    """Enough names to find the trouble, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    shown = [repr(name) if "," in name else name for name in names[:NAMES_SHOWN]]
    return ", ".join(shown) + more


def _read_in_child(folder: Path) -> dict[str, Any]:
    megabytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
    say(f"reading the model in {folder} ({megabytes:.1f} MB)")
    limit_s = READ_SECONDS + READ_SECONDS_PER_MEGABYTE * megabytes
    command = [sys.executable, "-m", colmap_reader.__name__, str(folder)]
    try:
        child = subprocess.run(command, capture_output=True, timeout=limit_s, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise BadData(folder, f"pycolmap was not done with it after {limit_s:.0f} s",
                      expected="an undamaged COLMAP model") from error
    if child.returncode == colmap_reader.REFUSED:
        refusal = json.loads(child.stdout)
        raise BadData(refusal["path"], refusal["problem"], expected=refusal["expected"])
    if child.returncode != 0:
        last_words = child.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise BadData(folder, f"pycolmap crashed on it (exit {child.returncode}: {last_words[0][:160]})",
                      expected="an undamaged COLMAP model")
    with np.load(io.BytesIO(child.stdout), allow_pickle=False) as arrays:
        return dict(arrays)


def _camera(value: dict[str, Any]) -> ColmapCamera:
    return ColmapCamera(value["camera_id"], value["model"], value["width"], value["height"], tuple(value["params"]))


def _known_camera(cameras: dict[int, ColmapCamera], camera_id: int, name: str, folder: Path) -> ColmapCamera:
    if camera_id not in cameras:
        raise BadData(folder, f"{name} is of camera {camera_id}, which is not in the model",
                      expected=f"one of {first_few([str(known) for known in sorted(cameras)])}")
    return cameras[camera_id]


def _poses(arrays: dict[str, Any], names: list[str], folder: Path, warnings: list[str]) -> Array:  # [n, 3, 4]
    quaternions, translations = arrays["quaternions_xyzw"], arrays["translations"]
    lengths = np.linalg.norm(quaternions, axis=1)
    usable = np.isfinite(lengths) & (lengths > 0) & np.isfinite(translations).all(1)
    if not usable.all():
        bad = [names[index] for index in np.flatnonzero(~usable)]
        raise BadData(folder, f"{len(bad)} of {len(names)} poses hold NaN, infinity or a zero quaternion: "
                              f"{first_few(sorted(bad))}", expected="finite numbers")
    off = int((np.abs(lengths - 1) > QUATERNION_TOLERANCE).sum())
    if off:
        warnings.append(f"{folder}: {off} quaternions were not of unit length and were normalised")
    rotations = _rotations(quaternions / lengths[:, None])
    return np.concatenate([rotations, translations[:, :, None]], axis=-1)


def _rotations(quaternions_xyzw: Array) -> Array:  # [n, 4] of unit length -> [n, 3, 3]
    vector, w = quaternions_xyzw[:, :3], quaternions_xyzw[:, 3, None, None]
    cross = np.zeros((len(vector), 3, 3))
    x, y, z = vector.T
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -z, y, -x
    cross[:, 1, 0], cross[:, 2, 0], cross[:, 2, 1] = z, -y, x
    return np.eye(3) + 2 * (w * cross + cross @ cross)


def _require_plain_names(names: list[str], folder: Path) -> None:
    odd = [name for name in names if not name.strip() or len(name.splitlines()) != 1]
    if odd:
        raise BadData(folder, f"image name {odd[0]!r}", expected="a name on one line")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(folder, f"holds {twice} twice", expected="every image once")


@lru_cache(maxsize=1024)
def _require_usable(camera: ColmapCamera, folder: Path) -> None:
    named = f"camera {camera.camera_id} ({camera.model})"
    if camera.width < 1 or camera.height < 1:
        raise BadData(folder, f"{named} is {camera.width}x{camera.height} pixels", expected="a positive size")
    view = camera.pycolmap_camera()
    if not view.is_perspective():
        raise BadData(folder, f"{named} sees all around and cannot be undistorted to a flat photo",
                      expected="a perspective or fisheye camera")
    focal = [camera.params[index] for index in view.focal_length_idxs()]
    if not np.isfinite(camera.params).all() or min(focal) <= 0:
        raise BadData(folder, f"{named} has the parameters {', '.join(f'{number:g}' for number in camera.params)}",
                      expected="finite numbers, and a positive focal length")


def _finite_points(points: Array, folder: Path, warnings: list[str]) -> Array:
    finite = np.isfinite(points).all(1)
    if not finite.all():
        warnings.append(f"{folder}: {int((~finite).sum())} points hold NaN or infinity and are left out")
    return np.asarray(points[finite], np.float64)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.bin")) + sorted(folder.glob("*.txt")):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
