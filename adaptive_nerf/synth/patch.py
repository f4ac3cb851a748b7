"""What a surface's colour may depend on: the hits on one material, column by column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptive_nerf.synth.land_use import LandUse
from adaptive_nerf.synth.noise import Floats, FractalTile


@dataclass(frozen=True)
class Patch:
    points: Floats  # [n, 3] ENU metres
    uv: Floats  # [n, 2] metres on the surface, as the material defines it
    tint: Floats  # [n, 3]
    traits: Floats  # [n, 4]
    salt: npt.NDArray[np.int32]  # [n] of the thing
    footprint_m: Floats  # [n] what a pixel spans there
    noise: FractalTile
    land_use: LandUse | None

    def salt_noise(self, x_m: Floats, y_m: Floats, texel_m: float) -> Floats:
        """Noise that differs from thing to thing."""
        shift = (self.salt % 97).astype(np.float32)
        return self.noise.at(x_m + shift * np.float32(3.7), y_m + shift * np.float32(1.3), texel_m, self.footprint_m)
