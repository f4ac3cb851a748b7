"""Where a photo has no picture: the borders that undistortion leaves black. True means that there is a picture.

Where we undistort, geometry tells (lens_borders.py). Where somebody did it before us, the photo itself does.
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
DARK = 24  # JPEG smears the picture into its border: pure black comes back as up to this
GROWN_PX = 2
SMALLEST_SHARE, LARGEST_SHARE = 0.002, 0.5
BLACK_MEDIAN = 8  # shadows and water that touch the frame are dark, but not black


def undistortion_borders(rgb: npt.NDArray[np.uint8]) -> Mask | None:  # [h, w, 3] -> [h, w]
    """False in the dark region that touches the frame, grown a little, where it looks like somebody's undistortion:
    black, and more than a sliver. Else None.
    """
    brightness = rgb.max(2)
    dark = _dark_region(brightness)
    share = dark.mean()
    if not SMALLEST_SHARE <= share <= LARGEST_SHARE or np.median(brightness[dark]) > BLACK_MEDIAN:
        return None
    return ~np.asarray(ndimage.binary_dilation(dark, iterations=GROWN_PX))


def _dark_region(brightness: npt.NDArray[np.uint8]) -> Mask:  # [h, w] -> [h, w]
    """Dark pixels connected to the frame."""
    dark = brightness < DARK
    frame = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    if not frame.any():
        return np.zeros_like(dark)
    surrounded = np.pad(dark, 1, constant_values=True)
    regions, _ = ndimage.label(surrounded)
    return np.asarray((regions == regions[0, 0])[1:-1, 1:-1])


def mask_png(valid: Mask) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(valid.astype(np.uint8) * 255).save(buffer, "PNG")
    return buffer.getvalue()
