"""Two pictures of the same view: side by side along a movable edge, or their difference."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.types import AnyArray
from adaptive_nerf.viewer.colour_maps import ColourMap, coloured, table
from adaptive_nerf.viewer.legends import Legend, bar_of

Bytes = npt.NDArray[np.uint8]
EDGE = np.array([255, 255, 255], np.uint8)
FULL_SCALE = 0.5  # a difference of half the brightness range has the last colour
CHANGE_MAP = ColourMap.TURBO


class Comparison(StrEnum):
    OFF = "Off"
    SPLIT = "Left and right"
    DIFFERENCE = "Difference"


def split(left: Bytes, right: Bytes, share: float) -> Bytes:
    """`left` up to this share of the width, `right` from there on, a white edge between. [h, w, 3]"""
    width = left.shape[1]
    edge, picture = edge_column(share, width), halves(left, right, share)
    if 0 < edge < width:
        half = max(1, width // 400)
        picture[:, max(0, edge - half):edge + half] = EDGE
    return picture


def edge_column(share: float, width: int) -> int:
    return round(min(max(share, 0.0), 1.0) * width)


def halves(left: AnyArray, right: AnyArray, share: float) -> AnyArray:
    """`left` up to this share of the width, `right` from there on. [h, w, ...]"""
    edge = edge_column(share, left.shape[1])
    return np.concatenate([left[:, :edge], right[:, edge:]], axis=1)


def difference(left: Bytes, right: Bytes) -> tuple[Bytes, Legend]:
    """Mean difference of the three channels, in colours, with its legend."""
    gap = np.abs(left.astype(np.int16) - right.astype(np.int16)).mean(axis=-1) / 255
    legend = Legend("How much the picture changed", bar_of(table(CHANGE_MAP)), "not at all",
                    f"{FULL_SCALE:.0%} or more")
    return coloured(gap, 0, FULL_SCALE, CHANGE_MAP), legend


def of_size(picture: AnyArray, width: int, height: int) -> AnyArray:
    """Stretched to another size by its nearest pixels."""
    rows = np.arange(height) * picture.shape[0] // height
    columns = np.arange(width) * picture.shape[1] // width
    return picture[rows][:, columns]
