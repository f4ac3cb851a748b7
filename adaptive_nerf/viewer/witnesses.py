"""How many photos look at a place: what few of them show may lie metres off, and whoever measures there must know.

Measured on the town: where six or more look, 95 of 100 clicks are within half a metre; where fewer do, hardly one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.types import Array

FEW = 6


class Witnesses:
    """Of photos that were trained on, whatever stands before the place."""

    def __init__(self, photos: Sequence[Photo], frame: SceneFrame):
        self._to_scene = frame.convert(FrameName.ENU, FrameName.SCENE)
        self._poses = np.array([photo.c2w_scene for photo in photos]).reshape(-1, 3, 4)
        self._lenses = np.array([photo.intrinsics for photo in photos]).reshape(-1, 2, 2)  # focal lengths, centre
        self._sizes = np.array([(photo.width, photo.height) for photo in photos]).reshape(-1, 2)

    def count(self, enu_m: Array) -> int:
        """In how many photos the place [3] lies."""
        away = self._to_scene.points(enu_m) - self._poses[:, :, 3]
        right, up, back = np.einsum("ni,nij->jn", away, self._poses[:, :, :3])
        ahead = back < 0
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.stack([right, -up], -1) / -back[:, None]
            pixels = self._lenses[:, 1] + self._lenses[:, 0] * slope
            inside = ((pixels >= 0) & (pixels < self._sizes)).all(1)
        return int((ahead & inside).sum())


def few_words(count: int) -> str:
    """Markdown; nothing where enough photos look."""
    if count >= FEW:
        return ""
    who = "No photo" if count == 0 else "Only one photo" if count == 1 else f"Only {count} photos"
    return f"**{who} of those it was trained on see{'' if count > 1 else 's'} this place: it may be metres off.**"
