"""Label pictures per photo: a pixel labelled 0 (sky, water, to be ignored) belongs to no expert.

`<folder>/000123.png` by photo id, or by the original name (day1/DJI_0042.JPG: day1/DJI_0042.png, else DJI_0042.png).
Photos without one count whole.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.data.masks import resized_nearest
from adaptive_nerf.data.photos import PICTURE_ERRORS, Photo
from adaptive_nerf.data.unreadable import unreadable
from adaptive_nerf.geometry.types import BoolArray

SUFFIX = ".png"


def find_segmentation(folder: Path, photos: Sequence[Photo]) -> dict[str, Path]:
    """Label pictures by the photo's stem."""
    if not folder.is_dir():
        raise BadData(folder, "is not a folder", expected="label pictures such as 000000.png")
    found: dict[str, Path] = {}
    owners: dict[Path, Photo] = {}
    for photo in photos:
        path = next(filter(Path.is_file, _candidates(folder, photo)), None)
        if path is None:
            continue
        if path in owners:
            raise BadUsage(f"{path} could be of {owners[path].name} and of {photo.name}; call it by the photo's id "
                           f"({photo.stem}{SUFFIX}), or give it the folder that the photo's name has")
        found[photo.stem], owners[path] = path, photo
    if not found:
        raise BadData(folder, "holds no label picture of any photo of the scene",
                      expected=f"{photos[0].stem}{SUFFIX} or {Path(photos[0].name).stem}{SUFFIX}, and so on")
    return found


def _candidates(folder: Path, photo: Photo) -> list[Path]:
    name = Path(photo.name)
    return [folder / f"{stem}{SUFFIX}" for stem in (photo.stem, name.parent / name.stem, name.stem)]


def labelled_pixels(path: Path, width: int, height: int) -> BoolArray:
    """Where the label is not 0, at the photo's full size. [height, width]"""
    try:
        with Image.open(path) as picture:  # palette pictures give their indices, which are the labels
            labels = np.asarray(picture)
    except PICTURE_ERRORS as error:
        raise unreadable(path, error, "is not a readable picture", "a PNG of labels") from error
    if labels.ndim == 3:
        colours = labels.shape[2] - (labels.shape[2] in (2, 4))  # transparency is no label
        labels = labels[:, :, :colours].any(axis=-1)
    return resized_nearest(labels != 0, width, height, path)
