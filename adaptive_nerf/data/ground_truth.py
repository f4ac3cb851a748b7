"""What is truly to be seen in the photos of a made town: its depth, and where the second flight differs.

    <town>/truth/metadata.json  NNN_depth.npy  NNN_change.npy        <town>/event/truth/: of the second flight
metadata.json tells which files belong to which photo, by the photo's name. Real flights have none of this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.unreadable import unreadable

FLIGHTS = ("truth", "event/truth")
METADATA = "metadata.json"
EDGE = 1.05  # depths of neighbours that differ by more are of two surfaces
Depth = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Known:
    depth_m: Depth  # [h, w] along the optical axis, NaN where nothing is seen
    changed: Mask | None  # [h, w] looks different in the other flight; None where nothing ever happens


@dataclass(frozen=True)
class GroundTruth:
    depths: Mapping[str, Path] = field(default_factory=dict)  # by the photo's name
    changes: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def beside(cls, town: Path) -> GroundTruth:
        """Of the folder that make_town.py wrote; knows nothing where there is none."""
        depths: dict[str, Path] = {}
        changes: dict[str, Path] = {}
        for folder in (town / flight for flight in FLIGHTS):
            for photo in _photos(folder / METADATA):
                depths[photo["image"]] = folder / Path(photo["depth"]).name
                if "change" in photo:
                    changes[photo["image"]] = folder / Path(photo["change"]).name
        return cls(depths, changes)

    def of(self, name: str, width: int, height: int) -> Known | None:
        """At a working size; None of a photo that is none of the town's."""
        if name not in self.depths:
            return None
        depth = depth_at_size(_array(self.depths[name], np.floating), width, height)
        changed = _array(self.changes[name], np.bool_) if name in self.changes else None
        return Known(depth, None if changed is None else any_at_size(changed, width, height))


def depth_at_size(depth_m: npt.NDArray[Any], width: int, height: int) -> Depth:
    """At the centres of larger pixels. On a plane 1/depth is linear, so that is what is interpolated; at edges, where
    that would invent a surface between two, the nearest pixel is taken. [H, W] -> [height, width]
    """
    rows = np.clip((np.arange(height) + 0.5) * depth_m.shape[0] / height - 0.5, 0, depth_m.shape[0] - 1)
    columns = np.clip((np.arange(width) + 0.5) * depth_m.shape[1] / width - 0.5, 0, depth_m.shape[1] - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom, right = np.ceil(rows).astype(int), np.ceil(columns).astype(int)
    down, across = (rows - top)[:, None], columns - left
    corners = np.stack([depth_m[row[:, None], column] for row in (top, bottom) for column in (left, right)])
    weights = np.stack([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across])
    smooth = corners.max(0) <= EDGE * corners.min(0)  # False where any is NaN
    between = 1 / (weights / np.where(smooth, corners, 1.0)).sum(0)
    nearest = depth_m[np.floor(rows + 0.5).astype(int)[:, None], np.floor(columns + 0.5).astype(int)]
    return np.where(smooth, between, nearest).astype(np.float32)


def any_at_size(mask: Mask, width: int, height: int) -> Mask:
    """True where any of the smaller pixels is."""
    shares = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(shares) > 0


def _photos(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    try:
        photos = json.loads(path.read_text())["photos"]
        return [photo for photo in photos if isinstance(photo["image"], str) and isinstance(photo["depth"], str)]
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(path, "does not tell the truth's files", expected="what make_town.py writes") from error


def _array(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, error, "cannot be read", "what make_town.py writes") from error
    if array.ndim != 2 or not np.issubdtype(array.dtype, kind):
        raise BadData(path, f"is {array.dtype} with {array.ndim} dimensions", expected="a value a pixel")
    return array
