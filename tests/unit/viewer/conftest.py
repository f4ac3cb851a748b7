"""Frames whose channels are known on paper, and a scene frame with and without a geo-reference."""

import numpy as np
import pytest

from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.rendering.types import Frame, Quality

REFERENCE = (48.2, 16.4, 180.0)


@pytest.fixture
def georeferenced() -> SceneFrame:
    return SceneFrame((-60.0, 12.0, -7.0), 80.0, REFERENCE, (0.0, 62.0))


@pytest.fixture
def local() -> SceneFrame:
    return SceneFrame((-60.0, 12.0, -7.0), 80.0, None, (0.0, 62.0))


@pytest.fixture
def camera_above():
    """A camera of the VIEWER frame over an ENU place, looking at another, its picture 64 x 48."""
    def make(frame: SceneFrame, position_enu, target_enu=(0.0, 0.0, 0.0)) -> Camera:
        pose = look_at(np.array(position_enu, float), np.array(target_enu, float), np.array([0.0, 0.0, 1.0]))
        camera = Camera(64, 48, 50.0, 50.0, 32.0, 24.0, pose, FrameName.ENU)
        return camera.in_frame(FrameName.VIEWER, frame)
    return make


@pytest.fixture
def frame_of(camera_above, georeferenced):
    """A frame of an arbitrary camera with the given channels."""
    def make(height: int, width: int, **channels) -> Frame:
        camera = camera_above(georeferenced, (0, -40, 40)).resized(width, height)
        return Frame(camera, "v1", Quality.FULL, **channels)
    return make


def full(value, height=4, width=6, dtype=np.float32):
    return np.full((height, width), value, dtype)
