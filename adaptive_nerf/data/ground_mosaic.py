"""A quick picture of the ground from above: each map cell takes the photo that looks most nearly at it.

The ground is the plane of the scene's lowest points, so houses lean; good enough to know one's way on a map.
"""

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import AnyArray, Array

TRIES = 8  # photos asked for each cell, the best placed first
OFF_NADIR = ((0.0, 0.4), (0.4, 1.6))  # tangents: steep views first, flatter ones (they smear) for what is left


def ground_mosaic(scene: Scene, east_m: Array, north_m: Array, up_m: float) -> npt.NDArray[np.float32]:
    """Grey values 0 to 1 [len(north), len(east)] on the plane at `up_m`; NaN where no photo looks."""
    cells_enu = np.stack([*np.meshgrid(east_m, north_m), np.full((len(north_m), len(east_m)), up_m)], axis=-1)
    cells_enu = cells_enu.reshape(-1, 3)
    grey = np.full(len(cells_enu), np.nan, np.float32)
    cells = scene.frame.convert(FrameName.ENU, FrameName.SCENE).points(cells_enu)
    for steepest, flattest in OFF_NADIR:
        targets, photos = _ground_targets(scene, up_m, steepest, flattest)
        if not photos:
            continue
        _, order = cKDTree(targets).query(cells_enu[:, :2], k=range(1, min(TRIES, len(photos)) + 1))
        for choice in range(order.shape[1]):
            _fill(grey, cells, order[:, choice], photos, scene.frame.metres_per_unit)
    return grey.reshape(len(north_m), len(east_m))


def _ground_targets(scene: Scene, up_m: float, steepest: float, flattest: float) -> tuple[Array, list[Photo]]:
    """Where photos that look down look at [n, 2] (East, North), and those photos; of some range of slopes."""
    to_enu = scene.frame.convert(FrameName.SCENE, FrameName.ENU)
    targets, photos = [], []
    for photo in scene.photos:
        pose = to_enu.pose(photo.c2w_scene)
        axis, position = -pose[:, 2], pose[:, 3]
        slope = np.hypot(axis[0], axis[1]) / -axis[2] if axis[2] < 0 and position[2] > up_m else np.inf
        if steepest <= slope < flattest:
            targets.append((position + axis * (up_m - position[2]) / axis[2])[:2])
            photos.append(photo)
    return np.array(targets).reshape(-1, 2), photos


def _fill(grey: AnyArray, cells: Array, chosen: AnyArray, photos: list[Photo], metres_per_unit: float) -> None:
    """Give the cells without a value that of the photo chosen for them, if it sees them."""
    empty = np.isnan(grey)
    for index in np.unique(chosen[empty]):
        photo = photos[index]
        which = np.flatnonzero(empty & (chosen == index))
        places, _ = photo.camera(metres_per_unit).project(cells[which])
        with np.errstate(invalid="ignore"):
            seen = ((places >= 0) & (places < [photo.width, photo.height])).all(axis=-1)
        if not seen.any():
            continue
        picture = photo.pixels()
        height, width = picture.shape[:2]
        columns, rows = (places[seen] * [width / photo.width, height / photo.height]).astype(int).T
        grey[which[seen]] = picture[rows, columns] @ np.array([0.299, 0.587, 0.114], np.float32) / 255
