"""How a camera's automatics vary from photo to photo: gain and white balance, in linear light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adaptive_nerf.synth.noise import Floats
from adaptive_nerf.synth.palette import srgb_from_linear
from adaptive_nerf.synth.randomness import generator


@dataclass(frozen=True)
class Exposure:
    gain: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)  # red, green, blue; green is the reference

    def develop(self, linear: Floats) -> Floats:
        """Linear light [..., 3] -> sRGB, 0 to 1."""
        return srgb_from_linear(linear * np.asarray(self.white_balance, np.float32) * np.float32(self.gain))

    def to_json(self) -> dict[str, Any]:
        return {"gain": self.gain, "white_balance": list(self.white_balance)}


def draw_exposure(seed: int, purpose: str, number: int, jitter: float) -> Exposure:
    """`jitter` is the standard deviation of the gain, in stops; white balance varies a fifth as much."""
    stops, warmth, tint = generator(seed, f"exposure {purpose}", number).standard_normal(3) * jitter
    warmth, tint = 0.2 * warmth, 0.08 * tint
    return Exposure(round(float(2**stops), 6), (round(float(2**warmth), 6), 1.0, round(float(2 ** (tint - warmth)), 6)))
