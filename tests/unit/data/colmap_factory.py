"""A small flight over a painted plain, photographed through any lens that COLMAP knows, as a COLMAP model and photos.

The plain's colour is a smooth function of east and north, so every pixel of a photo tells which ground point it shows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image

from adaptive_nerf.geometry.cameras import look_at
from adaptive_nerf.geometry.frames import FrameName, colmap_from_c2w, local_frame

WIDTH, HEIGHT = 64, 48
PLACE = (48.2082, 16.3738, 190.0)  # latitude deg, longitude deg, ellipsoidal height m of the plain's middle
ALTITUDE_M = 50.0
LENSES = {  # every model that pycolmap undistorts
    "SIMPLE_PINHOLE": [50, 32, 24],
    "PINHOLE": [50, 51, 32, 24],
    "SIMPLE_RADIAL": [50, 32, 24, -0.05],
    "SIMPLE_RADIAL_FISHEYE": [40, 32, 24, 0.02],
    "RADIAL": [50, 32, 24, -0.05, 0.01],
    "RADIAL_FISHEYE": [40, 32, 24, 0.02, -0.01],
    "OPENCV": [50, 51, 31, 25, -0.05, 0.01, 0.001, -0.001],
    "OPENCV_FISHEYE": [40, 41, 31, 25, 0.02, -0.01, 0.001, 0.0],
    "FULL_OPENCV": [50, 51, 31, 25, -0.05, 0.01, 0.001, -0.001, 0.001, 0.01, 0.001, 0.0],
    "FOV": [50, 50, 32, 24, 0.6],
    "THIN_PRISM_FISHEYE": [40, 40, 32, 24, 0.02, -0.01, 0.001, 0.0, 0.0, 0.0, 0.001, 0.001],
    "RAD_TAN_THIN_PRISM_FISHEYE": [40, 40, 32, 24, 0.02, -0.01, 0.001, 0.0, 0.0, 0.0, 0.001, 0.0, 0.001, 0.0,
                                   0.001, 0.0],
    "SIMPLE_DIVISION": [50, 32, 24, -0.05],
    "DIVISION": [50, 51, 31, 25, -0.05],
    "SIMPLE_FISHEYE": [40, 32, 24],
    "FISHEYE": [40, 41, 31, 25],
    "EUCM": [50, 51, 31, 25, 0.6, 1.1],
}


def plain_colour(east_north: np.ndarray) -> np.ndarray:  # [..., 2] metres -> [..., 3] sRGB bytes
    east, north = east_north[..., 0], east_north[..., 1]
    waves = [np.sin(east / 9), np.sin(north / 11 + 1), np.sin((east + north) / 14 + 2)]
    return (128 + 80 * np.stack(waves, -1)).astype(np.uint8)


def photograph(camera: pycolmap.Camera, c2w_enu: np.ndarray) -> np.ndarray:
    """What the lens sees of the plain at Up = 0. [h, w, 3]"""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    right_down = camera.cam_from_img(np.stack([x.ravel(), y.ravel()], -1))
    rays = np.stack([right_down[:, 0], -right_down[:, 1], -np.ones(len(right_down))], -1) @ c2w_enu[:, :3].T
    reach = -c2w_enu[2, 3] / rays[:, 2]
    ground = c2w_enu[:, 3] + rays * reach[:, None]
    return plain_colour(ground[:, :2]).reshape(camera.height, camera.width, 3)


@dataclass
class Flight:
    """What lies on the disk, and the truth about it."""

    root: Path
    names: list[str]
    c2w_enu: np.ndarray  # [n, 3, 4] at PLACE
    camera: pycolmap.Camera
    points_enu: np.ndarray  # [m, 3]

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def images(self) -> Path:
        return self.root / "images"


def flight_poses(count: int, east_m: float = 0.0, up_m: float = ALTITUDE_M) -> np.ndarray:
    """Two rows of cameras that look down, each a little aslant."""
    poses = []
    for index in range(count):
        position = np.array([east_m + 12.0 * (index // 2), 25.0 * (index % 2) - 10, up_m + index % 3])
        target = np.array([position[0] + 3.0 * (index % 2), position[1] + 5.0, 0.0])
        poses.append(look_at(position, target, np.array([0.0, 1.0, 0.1])))
    return np.stack(poses)


def write_flight(root: Path, names: list[str], c2w_enu: np.ndarray, lens: str, ecef: bool, text: bool) -> Flight:
    camera = pycolmap.Camera(camera_id=1, model=lens, width=WIDTH, height=HEIGHT, params=LENSES[lens])
    to_model = local_frame(PLACE).convert(FrameName.ENU, FrameName.ECEF if ecef else FrameName.ENU)
    points_enu = np.random.default_rng(1).uniform([-30, -40, -2], [60, 40, 8], (200, 3))
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(camera)
    for image_id, (name, pose) in enumerate(zip(names, c2w_enu, strict=True), 1):
        image = pycolmap.Image(image_id=image_id, name=name, camera_id=1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(colmap_from_c2w(to_model.pose(pose))))
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(camera, pose)).save(path, quality=97)
    for point in to_model.points(points_enu):
        model.add_point3D(point, pycolmap.Track(), np.zeros(3, np.uint8))
    (root / "model").mkdir()
    (model.write_text if text else model.write_binary)(str(root / "model"))
    return Flight(root, names, c2w_enu, camera, points_enu)
