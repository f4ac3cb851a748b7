"""The photos of a scene in memory at the size one works at, as one long row of pixels: what rays are drawn from.

Where photos have no picture (black borders of undistortion), nothing is drawn and nothing is scored. A scene that was
prepared elsewhere brings no masks of that: the borders are then found in the photos, and it is said so.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.errors import BadData
from adaptive_nerf.common.parallel import in_threads
from adaptive_nerf.data.masks import resized_nearest
from adaptive_nerf.data.photos import Photo, same_shape
from adaptive_nerf.data.valid_borders import undistortion_borders
from adaptive_nerf.geometry.cameras import Camera

SMEARED_PX = 2
SHARE_OF_GPU = 0.25  # of its free memory, for photos

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RayBatch:
    """Rays through pixel centres, in scene units. `photos` are places in the store, not photo ids."""

    origins: Tensor  # [n, 3]
    directions: Tensor  # [n, 3], unit length
    colours: Tensor  # [n, 3] sRGB, 0 to 1
    photos: Tensor  # [n] int64

    def __len__(self) -> int:
        return len(self.origins)

    def to(self, device: torch.device | str) -> RayBatch:
        return RayBatch(*(value.to(device) for value in vars(self).values()))


@dataclass(frozen=True)
class LoadedPhoto:
    photo: Photo
    camera: Camera  # at the working size, in scene units
    rgb: Picture  # [h, w, 3]
    valid: Mask  # [h, w]
    borders_found: bool = False  # the mask is our own finding

    @property
    def colours(self) -> npt.NDArray[np.float32]:  # [h, w, 3] sRGB, 0 to 1
        return self.rgb.astype(np.float32) / 255


class RayStore:
    """Photos of one or several sizes. A pixel has one number over all photos, in their order.

    Its `photos` are views of that row: whoever lets go of those that he gave has every picture in memory once.
    """

    def __init__(self, photos: Sequence[LoadedPhoto]):
        sizes = [photo.valid.size for photo in photos]
        self.starts = torch.tensor(np.concatenate([[0], np.cumsum(sizes)]), dtype=torch.int64)
        self._starts = self.starts
        rgb = np.concatenate([photo.rgb.reshape(-1, 3) for photo in photos])
        valid = np.concatenate([photo.valid.ravel() for photo in photos])
        self.photos = tuple(map(_as_view, photos, np.split(rgb, np.cumsum(sizes)), np.split(valid, np.cumsum(sizes))))
        self._rgb = torch.from_numpy(rgb)
        self.valid = torch.from_numpy(valid)  # [n_pixels] bool
        cameras = [photo.camera for photo in photos]
        self._widths = torch.tensor([camera.width for camera in cameras])
        self._lenses = torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy] for camera in cameras])
        self._poses = torch.tensor(np.stack([camera.c2w for camera in cameras]), dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def photo_ids(self) -> tuple[int, ...]:
        return tuple(loaded.photo.photo_id for loaded in self.photos)

    def on(self, device: torch.device) -> RayStore:
        """The same, with its rays made on the device, where the photos take a small part of its memory."""
        if device.type != "cuda" or self._rgb.nbytes > SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0]:
            return self
        moved = copy.copy(self)
        for name in ("_starts", "_rgb", "_widths", "_lenses", "_poses"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def pool(self, photos: Iterable[int], allowed: Tensor | None = None) -> Tensor:
        """Numbers of the valid pixels of some photos (places in the store), and of those only the allowed ones.

        allowed [n_pixels] bool -> [n] int32 or int64, ascending
        """
        kind = torch.int32 if len(self._rgb) < 2**31 else torch.int64
        usable = self.valid if allowed is None else self.valid & allowed
        found = []
        for photo in photos:
            start, end = int(self.starts[photo]), int(self.starts[photo + 1])
            found.append((usable[start:end].nonzero()[:, 0] + start).to(kind))
        return torch.cat(found) if found else torch.empty(0, dtype=kind)

    def rays(self, pixels: Tensor) -> RayBatch:
        """The rays of pixel numbers [n]. A step has thousands: `index_select` is thrice as fast as brackets."""
        pixels = pixels.to(self._rgb.device, torch.int64)
        photos = torch.searchsorted(self._starts, pixels, right=True) - 1
        within = pixels - self._starts.index_select(0, photos)
        width = self._widths.index_select(0, photos)
        row = torch.div(within, width, rounding_mode="floor")
        at = torch.stack([within - row * width, row], 1).float() + 0.5  # [n, 2]
        lens, pose = self._lenses.index_select(0, photos), self._poses.index_select(0, photos)
        slope = (at - lens[:, 2:]) / lens[:, :2]
        local = torch.stack([slope[:, 0], -slope[:, 1], torch.full_like(slope[:, 0], -1)], 1)
        local = local / local.square().sum(1, keepdim=True).sqrt()
        directions = (pose[:, :, :3] * local[:, None]).sum(2)
        return RayBatch(pose[:, :, 3].contiguous(), directions, self._rgb.index_select(0, pixels).float() / 255, photos)


def _as_view(loaded: LoadedPhoto, rgb: Picture, valid: Mask) -> LoadedPhoto:
    """The same photo, over its part of the row. [n, 3], [n]"""
    return replace(loaded, rgb=rgb.reshape(loaded.rgb.shape), valid=valid.reshape(loaded.valid.shape))


def load_photos(photos: Sequence[Photo], downscale: float, metres_per_unit: float) -> Iterable[LoadedPhoto]:
    """In order, read in threads."""
    return in_threads(lambda photo: load_photo(photo, downscale, metres_per_unit), photos, usable_cores())


def load_photo(photo: Photo, downscale: float, metres_per_unit: float) -> LoadedPhoto:
    """At round(full size x downscale); the picture may be stored in another size of the same shape."""
    full = photo.pixels()
    width, height = (max(1, round(size * downscale)) for size in (photo.width, photo.height))
    if not same_shape((full.shape[1], full.shape[0]), (photo.width, photo.height)):
        raise BadData(photo.image_path, f"is {full.shape[1]}x{full.shape[0]}, another shape than its metadata",
                      expected=f"{photo.width}x{photo.height}")
    valid, found = photo.valid_pixels(), False
    if photo.valid_path is None:
        borders = undistortion_borders(full)
        valid, found = (np.ones(full.shape[:2], bool), False) if borders is None else (borders, True)
    valid = np.asarray(resized_nearest(valid, width, height, photo.image_path))
    if not valid.all():  # JPEG and resizing smear black into the pixels beside it
        valid = np.asarray(ndimage.binary_erosion(valid, iterations=SMEARED_PX, border_value=1))
    if full.shape[:2] != (height, width):
        full = np.asarray(Image.fromarray(full).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0))
    return LoadedPhoto(photo, photo.camera(metres_per_unit).resized(width, height), full, valid, found)
