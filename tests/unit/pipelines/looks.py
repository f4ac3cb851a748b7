"""First looks at made-up photos: what the model from before shows, and what the photo shows, both known."""

from __future__ import annotations

import numpy as np

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.pipelines.disagreement import FirstLook
from adaptive_nerf.rendering.types import Frame, Quality
from tests.support.fields import camera_over

FINER = 4  # the photo, than the look


def loaded_photo(camera: Camera, colours: np.ndarray, valid: np.ndarray | None = None, photo: Photo | None = None
                 ) -> LoadedPhoto:
    """colours [h, w, 3] in 0..1, at the camera's size."""
    rgb = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
    return LoadedPhoto(photo, camera, rgb, np.ones(rgb.shape[:2], bool) if valid is None else valid)


def look_of(model: np.ndarray, photo: np.ndarray, depth_m: np.ndarray | None = None, valid: np.ndarray | None = None,
            camera: Camera | None = None) -> FirstLook:
    """Straight down from 60 m unless told otherwise. model, photo [h, w, 3]; depth_m, valid [h, w]"""
    height, width = model.shape[:2]
    small = camera or camera_over(width=width, height=height)
    large = small.resized(FINER * width, FINER * height)
    block = np.ones((FINER, FINER))
    frame = Frame(small, "before", Quality.DRAFT, model.astype(np.float32), depth_m)
    fine_valid = None if valid is None else np.kron(valid, block).astype(bool)
    return FirstLook.of(loaded_photo(large, np.kron(photo, block[..., None]), fine_valid), frame)
