"""How good a picture is wanted: how many pixels it has, and up to which rung it is made finer."""

from __future__ import annotations

from enum import StrEnum

from adaptive_nerf.rendering.types import Quality

AUTO_PIXELS = 640 * 480
MOST_PIXELS = 1600 * 1000


class Wish(StrEnum):
    AUTO = "Automatic"
    FAST = "Fast"
    BEST = "Best"


def pixels_wanted(wish: Wish, window_pixels: int) -> int:
    """Never more than the window has, and bounded: a picture of a wall of screens would take minutes."""
    return max(1, min(window_pixels, MOST_PIXELS if wish is Wish.BEST else AUTO_PIXELS))


def last_rung(wish: Wish) -> Quality:
    return Quality.FAST if wish is Wish.FAST else Quality.FULL
