"""Colours for numbers: a value from 0 to 1 becomes one of 256 sRGB colours."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

import matplotlib
import numpy as np
import numpy.typing as npt

LEVELS = 256


class ColourMap(StrEnum):
    """As the page names them; the first ones are read rightly by colour-blind eyes and in black and white."""

    VIRIDIS = "Viridis"
    CIVIDIS = "Cividis"
    GREY = "Grey"
    TURBO = "Turbo"


@cache
def table(colour_map: ColourMap) -> npt.NDArray[np.uint8]:
    """[256, 3] sRGB bytes, low to high."""
    name = "gray" if colour_map is ColourMap.GREY else colour_map.value.lower()
    return (matplotlib.colormaps[name](np.linspace(0, 1, LEVELS))[:, :3] * 255).round().astype(np.uint8)


def coloured(values: npt.NDArray[np.floating], low: float, high: float,
             colour_map: ColourMap) -> npt.NDArray[np.uint8]:
    """Values [...] -> colours [..., 3]; what lies outside takes the end's colour, NaN the low one's."""
    share = np.nan_to_num((values - low) * (1 / max(high - low, 1e-12)), nan=0.0, posinf=1.0, neginf=0.0)
    return table(colour_map)[np.clip(np.rint(share * (LEVELS - 1)), 0, LEVELS - 1).astype(np.uint8)]
