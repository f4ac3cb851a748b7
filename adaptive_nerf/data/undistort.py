"""From the photo that a lens made to the one that a pinhole would have made, through pycolmap."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pycolmap
from PIL import Image

from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.data.colmap import ColmapCamera
from adaptive_nerf.data.lens_borders import undistorted_valid
from adaptive_nerf.data.valid_borders import mask_png

DEFAULT_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Pinhole:
    """The camera of the undistorted photos, and what it does not see."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    invalid_share: float  # of its pixels
    valid_png: bytes | None  # None: all of them have a picture


@lru_cache(maxsize=64)
def pinhole_of(camera: ColmapCamera) -> Pinhole:
    """Worked out once for all photos of a camera."""
    distorted = camera.pycolmap_camera()
    if camera.is_pinhole:
        return _pinhole(distorted, 0.0, None)
    try:
        undistorted = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), distorted)
        valid = undistorted_valid(distorted, undistorted)
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"camera {camera.camera_id} ({camera.model}) cannot be undistorted: {error}") from error
    invalid_share = float((~valid).mean())
    return _pinhole(undistorted, invalid_share, mask_png(valid) if invalid_share else None)


def _pinhole(camera: pycolmap.Camera, invalid_share: float, valid_png: bytes | None) -> Pinhole:
    return Pinhole(camera.width, camera.height, camera.focal_length_x, camera.focal_length_y,
                   camera.principal_point_x, camera.principal_point_y, invalid_share, valid_png)


def undistort(rgb: npt.NDArray[np.uint8], camera: ColmapCamera) -> npt.NDArray[np.uint8]:
    """The photo as the camera's pinhole sees it; black where there is no picture. [h, w, 3] -> [height, width, 3]"""
    if camera.is_pinhole:
        return rgb
    bitmap = pycolmap.Bitmap.from_array(np.ascontiguousarray(rgb))
    undistorted, _ = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), bitmap, camera.pycolmap_camera())
    return np.asarray(undistorted.to_array())


def picture_bytes(rgb: npt.NDArray[np.uint8], stored_as: str, jpeg_quality: int) -> tuple[bytes, str]:
    """The file's content and suffix: a PNG stays without loss, everything else becomes a JPEG with full colour."""
    buffer = io.BytesIO()
    if stored_as == "PNG":
        Image.fromarray(rgb).save(buffer, "PNG")
        return buffer.getvalue(), ".png"
    Image.fromarray(rgb).save(buffer, "JPEG", quality=jpeg_quality, subsampling="4:4:4")
    return buffer.getvalue(), ".jpg"
