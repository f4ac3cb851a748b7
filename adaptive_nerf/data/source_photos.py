"""The photos that a COLMAP model was made from: found, and squared with their cameras, before any long work begins.

A photo may differ from its camera in two understood ways: it is stored turned (EXIF orientation), or at another size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.common.progress import track
from adaptive_nerf.data.colmap import ColmapCamera, ColmapImage, first_few
from adaptive_nerf.data.photos import PICTURE_ERRORS, PICTURE_SUFFIXES, rgb_picture, same_shape
from adaptive_nerf.data.unreadable import unreadable
from adaptive_nerf.geometry.types import Array

EXIF_ORIENTATION, EXIF_IFD, EXIF_TAKEN, EXIF_UTC_OFFSET = 0x0112, 0x8769, 0x9003, 0x9011
UPRIGHT = 1
TURNS: dict[int, tuple[Image.Transpose, ...]] = {  # what makes a photo upright, by EXIF orientation
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
MPO = "MPO"  # a JPEG with more pictures behind it, as many drones write: the first one is the photo


@dataclass(frozen=True)
class SourcePhoto:
    name: str
    path: Path
    camera: ColmapCamera  # at the photo's own size
    world_to_camera: Array  # [3, 4] float64, RDF axes
    stored_as: str  # JPEG, PNG, ...
    orientation: int  # the EXIF tag of the file
    turned: bool  # whether that tag has to be obeyed for the photo to fit its camera
    rescaled: bool  # whether the camera was calibrated at another size
    captured_at: str | None  # ISO time
    bytes: int
    modified_ns: int

    def pixels(self) -> npt.NDArray[np.uint8]:
        """sRGB bytes as its camera sees them. [height, width, 3]"""
        try:
            with Image.open(self.path) as picture:
                upright = rgb_picture(picture)
        except PICTURE_ERRORS as error:
            raise unreadable(self.path, error, "is not a readable picture", "a whole JPEG or PNG") from error
        for turn in TURNS[self.orientation] if self.turned else ():
            upright = upright.transpose(turn)
        return np.asarray(upright)

    @property
    def can_be_copied(self) -> bool:
        """Its file is right as it is: same pixels, and no tag that a reader might obey."""
        return (self.stored_as in ("JPEG", "PNG") and self.orientation == UPRIGHT and self.camera.is_pinhole)


def find_source_photos(images: Sequence[ColmapImage], folder: Path, skip_missing: bool,
                       warnings: list[str]) -> list[SourcePhoto]:
    """The photo of every image, in the same order."""
    if not folder.is_dir():
        raise BadData(folder, "is not a folder", expected="the photos of the COLMAP model")
    missing = [image.name for image in images if not (folder / image.name).is_file()]
    if len(missing) == len(images):
        raise BadData(folder, f"none of the model's {len(images)} photos is there: {first_few(missing)}",
                      expected="files under the names that the model has")
    if missing and not skip_missing:
        raise BadData(folder, f"{len(missing)} of the model's {len(images)} photos are missing: {first_few(missing)}",
                      expected="all of them, or --skip_missing to go on without")
    if missing:
        warnings.append(f"{len(missing)} photos are missing and are left out: {first_few(missing)}")
    gone = set(missing)
    there = [image for image in images if image.name not in gone]
    photos = [_inspect(image, folder / image.name) for image in track(there, len(there), "headers of photos")]
    _tell(photos, warnings)
    return photos


def tell_strangers(names: Iterable[str], folder: Path, warnings: list[str]) -> None:
    """Pictures in the folder that are none of `names`, those of the model: COLMAP could not place them."""
    known = {folder / name for name in names}
    strangers = sorted(str(path.relative_to(folder)) for path in folder.rglob("*")
                       if path.suffix in PICTURE_SUFFIXES and path not in known)
    if strangers:
        are = "1 picture is" if len(strangers) == 1 else f"{len(strangers)} pictures are"
        warnings.append(f"{are} in {folder}, but not in the model, and left out: {first_few(strangers)}")


def _inspect(image: ColmapImage, path: Path) -> SourcePhoto:
    """Read the header of a photo and square it with its camera."""
    try:
        with Image.open(path) as picture:
            size, stored_as = picture.size, "JPEG" if picture.format == MPO else picture.format or "unknown"
            exif = picture.getexif()
            orientation = exif.get(EXIF_ORIENTATION, UPRIGHT)
            captured_at = _captured_at(exif.get_ifd(EXIF_IFD))
    except PICTURE_ERRORS as error:
        raise unreadable(path, error, "is not a readable picture", "a JPEG or PNG") from error
    orientation = orientation if orientation in TURNS else UPRIGHT
    turned, camera = _fit(image.camera, size, orientation, path)
    status = path.stat()
    return SourcePhoto(image.name, path, camera, image.world_to_camera, stored_as, orientation, turned,
                       camera != image.camera, captured_at, status.st_size, status.st_mtime_ns)


def _fit(camera: ColmapCamera, size: tuple[int, int], orientation: int, path: Path) -> tuple[bool, ColmapCamera]:
    """Whether to turn the photo, and its camera at its size. As stored comes before turned, equal before scaled."""
    upright = size[::-1] if orientation in SIDEWAYS else size
    for turned, candidate in ((False, size), (True, upright)):
        if candidate == (camera.width, camera.height):
            return turned, camera
    for turned, candidate in ((False, size), (True, upright)):
        if same_shape(candidate, (camera.width, camera.height)):
            return turned, camera.resized(*candidate)
    raise BadData(path, f"is {size[0]}x{size[1]} but its camera {camera.camera_id} is {camera.width}x{camera.height}",
                  expected="the same size, or the same shape at another scale")


def _captured_at(exif: dict[int, Any]) -> str | None:
    """EXIF writes 2023:05:01 12:34:56, and the offset from UTC apart."""
    found = re.match(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d(?=\W*$)", str(exif.get(EXIF_TAKEN, "")), re.ASCII)
    try:
        taken = datetime.strptime(found.group() if found else "", "%Y:%m:%d %H:%M:%S")
    except ValueError:  # nothing, or a clock that nobody set: 0000:00:00 00:00:00
        return None
    offset = str(exif.get(EXIF_UTC_OFFSET, "")).strip("\0 ")
    known_offset = offset if re.fullmatch(r"[+-]\d\d:\d\d", offset) else ""
    return f"{taken.isoformat()}{known_offset}"


def _tell(photos: list[SourcePhoto], warnings: list[str]) -> None:
    rescaled = [photo.name for photo in photos if photo.rescaled]
    if rescaled:
        warnings.append(f"{len(rescaled)} photos are stored at another size than their camera; the intrinsics were "
                        f"scaled: {first_few(rescaled)}")
    turned = [photo.name for photo in photos if photo.turned]
    if turned:
        warnings.append(f"{len(turned)} photos were turned as their EXIF orientation says: {first_few(turned)}")
    ignored = [photo.name for photo in photos if photo.orientation != UPRIGHT and not photo.turned]
    if ignored:
        warnings.append(f"{len(ignored)} photos fit their camera as stored; their EXIF orientation was dropped: "
                        f"{first_few(ignored)}")
