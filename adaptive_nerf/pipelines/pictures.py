"""From numbers to pictures that people look at: photos, error maps, depth maps with a bar that tells the metres.

What is no number is never hidden: violet in a photo, grey in a map. Maps use colours whose brightness grows with the
value (inferno, viridis), so that they read the same in print and to the colour-blind.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from adaptive_nerf.common import atomic_files
from adaptive_nerf.data.overlays import font, jpeg_bytes
from adaptive_nerf.pipelines.metrics import Mask, Picture

Pixels = npt.NDArray[np.uint8]  # [h, w, 3]
Floats = npt.NDArray[np.floating[Any]]

NO_NUMBER = np.array([214, 0, 214], np.uint8)
NOTHING = np.array([128, 128, 128], np.uint8)  # outside the valid pixels, or no surface
LARGEST_ERROR = 0.25  # the top of every error map, so that two of them compare
JPEG_QUALITY, SMALLER = 85, 2  # and of the colours one in four
BAR_PX, LABEL_PX, TEXT_PX, PAD_PX = 10, 18, 11, 6


@dataclass(frozen=True)
class Scale:
    """What the colours of a map mean."""

    low: float
    high: float
    unit: str
    colours: str  # the name of one of matplotlib's colour maps

    def paint(self, values: Floats) -> Pixels:  # [...] -> [..., 3]; grey where it is no number
        known = np.isfinite(values)
        share = np.where(known, (np.nan_to_num(values) - self.low) / max(self.high - self.low, 1e-9), 0)
        painted = matplotlib.colormaps[self.colours](np.clip(share, 0, 1), bytes=True)[..., :3]
        return np.where(known[..., None], painted, NOTHING).astype(np.uint8)


ERROR_SCALE = Scale(0.0, LARGEST_ERROR, "of full brightness", "inferno")


def photo_pixels(picture: Picture) -> Pixels:
    """sRGB values 0 to 1 as bytes."""
    known = np.isfinite(picture).all(-1, keepdims=True)
    scaled = np.clip(np.nan_to_num(picture), 0, 1) * 255 + 0.5
    return np.where(known, scaled, NO_NUMBER).astype(np.uint8)


def error_pixels(seen: Picture, real: Picture, valid: Mask) -> Pixels:
    """How far each pixel's colour is from the photo's: root of the mean square over the channels, in sRGB."""
    difference = np.sqrt(np.mean((np.clip(seen, 0, 1) - real) ** 2, axis=-1))
    painted = ERROR_SCALE.paint(np.where(valid, difference, np.nan))
    return np.where((valid & ~np.isfinite(difference))[..., None], NO_NUMBER, painted)


def depth_scale(*depths_m: Floats) -> Scale:
    """One scale for depth maps that are to be compared: from the 2nd to the 98th hundredth of all."""
    known = np.concatenate([depth[np.isfinite(depth)].ravel() for depth in depths_m])
    low, high = np.percentile(known, [2, 98]) if known.size else (0.0, 1.0)
    return Scale(float(low), float(max(high, low + 0.1)), "m", "viridis_r")


def depth_pixels(depth_m: Floats, scale: Scale | None = None) -> Pixels:
    """A depth map with its colour bar; near is bright."""
    scale = scale or depth_scale(depth_m)
    return with_bar(scale.paint(depth_m), scale)


def with_bar(picture: Pixels, scale: Scale) -> Pixels:
    """The map, and below it what its colours mean."""
    height, width = picture.shape[:2]
    page = Image.new("RGB", (width, height + PAD_PX + BAR_PX + LABEL_PX), "white")
    page.paste(Image.fromarray(picture), (0, 0))
    bar = scale.paint(np.linspace(scale.low, scale.high, max(2, width - 2 * PAD_PX))[None].repeat(BAR_PX, 0))
    page.paste(Image.fromarray(bar), (PAD_PX, height + PAD_PX))
    draw = ImageDraw.Draw(page)
    for share, label, anchor in bar_labels(scale, width):
        place = PAD_PX + share * (width - 2 * PAD_PX)
        draw.text((place, height + PAD_PX + BAR_PX + LABEL_PX / 2), label, "black", font(TEXT_PX), anchor=anchor)
    return np.asarray(page)


def bar_labels(scale: Scale, width_px: int) -> list[tuple[float, str, str]]:
    """Where along the bar (0 to 1), what, and how it is anchored: both ends always, the middle where there is room."""
    digits = max(0, 1 - math.floor(math.log10(scale.high - scale.low)))
    low, high = f"{scale.low:.{digits}f}", f"{scale.high:.{digits}f} {scale.unit}"
    middle = f"{(scale.low + scale.high) / 2:.{digits}f}"
    widths = [font(TEXT_PX).getlength(text) for text in (low, middle, high)]
    room = width_px / 2 - PAD_PX - max(widths[0], widths[2]) - widths[1] / 2 > PAD_PX
    ends = [(0.0, low, "lm"), (1.0, high, "rm")]
    return [*ends, (0.5, middle, "mm")] if room else ends


def png_bytes(picture: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def small_jpeg(picture: Pixels, widest_px: int) -> bytes:
    """Small enough for a page that holds hundreds of them."""
    image = Image.fromarray(picture)
    if image.width > widest_px:
        image = image.resize((widest_px, max(1, round(image.height * widest_px / image.width))),
                             Image.Resampling.LANCZOS)
    return jpeg_bytes(image, JPEG_QUALITY, SMALLER)


def write_png(path: Path, picture: Pixels) -> None:
    """Whole or not at all; makes the folder."""
    atomic_files.make_folder(path.parent)
    atomic_files.write_bytes(path, png_bytes(picture))
