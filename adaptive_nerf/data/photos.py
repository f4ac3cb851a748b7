"""One photo of a prepared scene: its metadata file, its picture, its valid pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.checked_values import numbers, text, whole_number
from adaptive_nerf.data.tensor_files import load_dict
from adaptive_nerf.data.unreadable import unreadable
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import Array

PICTURE_SUFFIXES = (".jpg", ".JPG", ".jpeg", ".JPEG", ".png", ".PNG")
LARGEST_ROTATION_ERROR = 1e-3
RANGELESS_MODES = ("I", "F")
# What Pillow raises on damaged pictures and their tags.
PICTURE_ERRORS = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError,
                  LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RuntimeError, struct.error,
                  zlib.error)
# A picture with more than twice as many pixels is taken for a bomb: the largest aerial cameras have 450 million.
Image.MAX_IMAGE_PIXELS = 500_000_000


@dataclass(frozen=True)
class Photo:
    photo_id: int
    split: str  # train, val, or the tag of a later flight
    name: str  # the original file name, or that of the picture where nothing tells
    metadata_path: Path
    image_path: Path
    valid_path: Path | None
    width: int
    height: int
    c2w_scene: Array  # [3, 4] float64: RUB axes, scene units
    intrinsics: tuple[float, float, float, float]  # fx, fy, cx, cy in full-size pixels
    captured_at: str | None = None
    camera_id: int | None = None

    @property
    def stem(self) -> str:
        return f"{self.photo_id:06d}"

    def camera(self, metres_per_unit: float) -> Camera:
        fx, fy, cx, cy = self.intrinsics
        return Camera(self.width, self.height, fx, fy, cx, cy, self.c2w_scene, FrameName.SCENE, metres_per_unit)

    def pixels(self) -> npt.NDArray[np.uint8]:
        """sRGB bytes at the size the picture is stored in. [h, w, 3]"""
        return read_picture(self.image_path)

    def valid_pixels(self) -> npt.NDArray[np.bool_]:
        """Where the photo has a picture, at full size. [height, width]"""
        if self.valid_path is None:
            return np.ones((self.height, self.width), bool)
        mask = _read(self.valid_path, lambda picture: np.asarray(picture.convert("L"))) > 0
        if mask.shape != (self.height, self.width):
            raise BadData(self.valid_path, f"is {mask.shape[1]}x{mask.shape[0]}",
                          expected=f"{self.width}x{self.height} as in {self.metadata_path.name}")
        return mask


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    return _read(path, lambda picture: np.asarray(rgb_picture(picture)))


def rgb_picture(picture: Image.Image) -> Image.Image:
    """With 8 bits a channel; Pillow by itself would make every grey of 16 bits above 255 white."""
    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture).astype(np.uint32)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if picture.mode in RANGELESS_MODES:
        raise ValueError(f"nothing tells which value of mode {picture.mode} is white")
    return picture.convert("RGB")


def _read(path: Path, pixels_of: Callable[[Image.Image], npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            return pixels_of(picture)
    except PICTURE_ERRORS as error:
        raise unreadable(path, error, "is not a readable picture", "a JPEG or PNG, 8 or 16 bits") from error


def read_photo(metadata_path: Path, image_path: Path, valid_path: Path | None, split: str, name: str) -> Photo:
    value = load_dict(metadata_path)
    width, height = (whole_number(value, key, metadata_path, least=1) for key in ("W", "H"))
    fx, fy, cx, cy = numbers(value, "intrinsics", (4,), metadata_path).tolist()
    if fx <= 0 or fy <= 0:
        raise BadData(metadata_path, f"focal lengths {fx:g}, {fy:g}", key="intrinsics", expected="positive pixels")
    c2w = numbers(value, "c2w", (3, 4), metadata_path)
    _require_rotation(c2w[:, :3], metadata_path)
    captured_at = None if value.get("captured_at") is None else text(value, "captured_at", metadata_path)
    camera_id = None if value.get("camera_id") is None else whole_number(value, "camera_id", metadata_path)
    return Photo(int(metadata_path.stem), split, name, metadata_path, image_path, valid_path, width, height, c2w,
                 (fx, fy, cx, cy), captured_at, camera_id)


def photo_metadata(camera: Camera, distortion: list[float], captured_at: str | None = None,
                   camera_id: int | None = None) -> dict[str, Any]:
    """What goes into a metadata file, for a camera in scene units."""
    value: dict[str, Any] = {
        "H": camera.height,
        "W": camera.width,
        "c2w": torch.tensor(camera.c2w, dtype=torch.float32),
        "intrinsics": torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy], dtype=torch.float32),
        "distortion": torch.tensor(distortion, dtype=torch.float32),
    }
    optional = {"captured_at": captured_at, "camera_id": camera_id}
    return value | {key: given for key, given in optional.items() if given is not None}


def same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Of two widths and heights: equal aspect, within the rounding of both to whole pixels."""
    return abs(first[0] * second[1] - first[1] * second[0]) < max(sum(first), sum(second))


def _require_rotation(rotation: Array, path: Path) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # of absurdly large numbers
        off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not off <= LARGEST_ROTATION_ERROR or np.linalg.det(rotation) < 0:
        raise BadData(path, f"its left 3x3 part is no rotation (off by {off:.2g})", key="c2w",
                      expected="orthonormal columns right, up, back")
