"""Where a photo has no picture: the borders that undistortion leaves black. True means that there is a picture.

Where we undistort, geometry tells. Where somebody did it before us, the borders are found in the photo itself.
"""

import io

import numpy as np
import numpy.typing as npt
import pycolmap
from PIL import Image
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
DARK = 24  # JPEG smears the picture into its border: pure black comes back as up to this
GROWN_PX = 2
SMALLEST_SHARE, LARGEST_SHARE = 0.002, 0.5
BLACK_MEDIAN = 8  # shadows and water that touch the frame are dark, but not black
STEP_PX = 8
LARGEST_RAY_ERROR = 1e-3


def dark_borders(rgb: npt.NDArray[np.uint8]) -> Mask:  # [h, w, 3] -> [h, w]
    """False in the dark region that touches the frame, grown a little; all True where the frame is bright."""
    return _grown(_dark_region(rgb.max(2)))


def undistortion_borders(rgb: npt.NDArray[np.uint8]) -> Mask | None:
    """The same, but only where it looks like somebody's undistortion: black, and more than a sliver. Else None."""
    brightness = rgb.max(2)
    dark = _dark_region(brightness)
    share = dark.mean()
    if not SMALLEST_SHARE <= share <= LARGEST_SHARE or np.median(brightness[dark]) > BLACK_MEDIAN:
        return None
    return _grown(dark)


def _grown(dark: Mask) -> Mask:
    return ~np.asarray(ndimage.binary_dilation(dark, iterations=GROWN_PX)) if dark.any() else ~dark


def _dark_region(brightness: npt.NDArray[np.uint8]) -> Mask:  # [h, w] -> [h, w]
    """Dark pixels connected to the frame."""
    dark = brightness < DARK
    frame = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    if not frame.any():
        return np.zeros_like(dark)
    surrounded = np.pad(dark, 1, constant_values=True)
    regions, _ = ndimage.label(surrounded)
    return np.asarray((regions == regions[0, 0])[1:-1, 1:-1])


def undistorted_valid(distorted: pycolmap.Camera, pinhole: pycolmap.Camera) -> Mask:
    """Where an undistorted photo has a picture: what a white photo leaves white, less where the lens model folds."""
    white = pycolmap.Bitmap.from_array(np.full((distorted.height, distorted.width), 255, np.uint8))
    undistorted, _ = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), white, distorted)
    inside = np.asarray(undistorted.to_array()).reshape(pinhole.height, pinhole.width) == 255
    return inside & ~_folded(distorted, pinhole)


def _folded(distorted: pycolmap.Camera, pinhole: pycolmap.Camera) -> Mask:
    """Far from the axis a distortion polynomial can turn back: the photo shows again, mirrored.

    No ray comes back to itself there. Looked at on a lattice of STEP_PX: the inverse of a lens model is dear.
    """
    columns, rows = (np.arange(-(-size // STEP_PX)) * STEP_PX + STEP_PX / 2 for size in (pinhole.width, pinhole.height))
    pixels = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    rays = np.asarray(pinhole.cam_from_img(pixels))  # [n, 2]
    with np.errstate(invalid="ignore"):
        again = distorted.cam_from_img(distorted.img_from_cam(np.concatenate([rays, np.ones((len(rays), 1))], axis=1)))
        returns = np.abs(np.asarray(again) - rays).max(1) <= LARGEST_RAY_ERROR * (1 + np.abs(rays).max(1))
    lattice = ~returns.reshape(len(rows), len(columns))
    blocks = lattice.repeat(STEP_PX, axis=0).repeat(STEP_PX, axis=1)
    return np.asarray(blocks[:pinhole.height, :pinhole.width])


def mask_png(valid: Mask) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(valid.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()
