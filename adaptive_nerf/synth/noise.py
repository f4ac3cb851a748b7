"""Fractal noise from one periodic tile, kept at several blurs so that it never aliases.

A lookup is asked for at a place in metres, with the size of a texel and the size of what a pixel sees there.
The blur that fits is chosen, so a texture is as sharp as the view can show and no sharper: the same place then
has the same colour in every photo, near or far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptive_nerf.synth.randomness import generator

SIDE = 256  # texels, a power of two
LEVELS = 7
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FractalTile:
    levels: Floats  # [LEVELS * SIDE * SIDE], mean 0, standard deviation 1 at the sharpest level

    def at(self, x_m: Floats, y_m: Floats, texel_m: float, footprint_m: Floats) -> Floats:
        """Noise at places [n], about -2 to 2, interpolated between texels."""
        x, y = x_m * np.float32(1 / texel_m), y_m * np.float32(1 / texel_m)
        left, low = np.floor(x), np.floor(y)
        across, up = x - left, y - low
        column, row = left.astype(np.int32) & (SIDE - 1), low.astype(np.int32) & (SIDE - 1)
        next_column, next_row = (column + 1) & (SIDE - 1), ((row + 1) & (SIDE - 1)) * SIDE
        base = self._level(footprint_m * np.float32(1 / texel_m)) * (SIDE * SIDE)
        row = row * SIDE + base
        next_row = next_row + base
        lower = self.levels[row + column] * (1 - across) + self.levels[row + next_column] * across
        upper = self.levels[next_row + column] * (1 - across) + self.levels[next_row + next_column] * across
        return lower * (1 - up) + upper * up

    @staticmethod
    def _level(footprint_texels: Floats) -> npt.NDArray[np.int32]:
        exponent = np.log2(np.maximum(footprint_texels, 1)) + np.float32(0.5)
        return np.minimum(exponent, LEVELS - 1).astype(np.int32)


def make_tile(seed: int) -> FractalTile:
    """White noise shaped in the spectrum: amplitude falls as 1 / frequency, as rough natural surfaces do."""
    white = np.fft.rfft2(generator(seed, "fractal tile").standard_normal((SIDE, SIDE)))
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) * SIDE
    shape = 1 / np.maximum(frequency, 4) ** 0.8
    shape[0, 0] = 0
    pictures = [np.fft.irfft2(white * shape * _blur(frequency, level), (SIDE, SIDE)) for level in range(LEVELS)]
    sharpest = pictures[0].std()
    return FractalTile(np.concatenate([picture.ravel() / sharpest for picture in pictures]).astype(np.float32))


def _blur(frequency: npt.NDArray[np.float64], level: int) -> npt.NDArray[np.float64]:
    if level == 0:
        return np.ones_like(frequency)
    sigma_texels = 0.5 * 2**level
    return np.exp(-0.5 * (2 * np.pi * frequency / SIDE * sigma_texels) ** 2)


def visible(period_m: float, footprint_m: Floats) -> Floats:
    """How much of a regular pattern a pixel can show: 1 well above its sampling limit, 0 below. Prevents moire."""
    return np.clip(np.float32(0.7 * period_m) / footprint_m - 1, 0, 1)
