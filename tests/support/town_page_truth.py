"""What a person should see and read, from the town itself."""

from __future__ import annotations

import numpy as np

from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.viewer.viewpoints import UP, View, browser_wxyz, camera_of

WINDOW = (1200, 700)


def window_camera(view: View, frame: SceneFrame) -> Camera:
    """The browser's camera at a view, every pixel of its window."""
    pose = look_at(view.position, view.look_at, np.array(UP))
    return camera_of(browser_wxyz(pose), pose[:, 3], view.fov_rad, WINDOW, frame)
