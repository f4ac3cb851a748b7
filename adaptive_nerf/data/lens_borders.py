"""Where an undistorted photo has a picture, told by its lens model. True means that there is a picture."""

import numpy as np
import numpy.typing as npt
import pycolmap

Mask = npt.NDArray[np.bool_]
STEP_PX = 8
LARGEST_RAY_ERROR = 1e-3


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
