"""The ground's colour by its use: two tones mixed by broad noise, grain on top, and a few patterns of its own."""

from __future__ import annotations

import numpy as np

from adaptive_nerf.synth.land_use import Use
from adaptive_nerf.synth.noise import Floats, visible
from adaptive_nerf.synth.palette import colours, muted
from adaptive_nerf.synth.patch import Patch
from adaptive_nerf.synth.randomness import hash01

# use: one tone, another tone, how strongly they alternate, grain
LOOKS = {
    Use.LAWN: ("#71883f", "#8a9a4c", 1.0, 0.17),
    Use.MEADOW: ("#6a7d3a", "#a09f58", 1.3, 0.26),
    Use.DRY_LAWN: ("#99985a", "#b8a873", 1.2, 0.20),
    Use.ROAD: ("#6b6c6e", "#77777a", 0.8, 0.09),
    Use.PAVEMENT: ("#a8a39a", "#98948d", 0.8, 0.08),
    Use.KERB: ("#c2bfb8", "#aeaba4", 0.6, 0.06),
    Use.MARKING: ("#e9e8e2", "#c9c8c3", 0.9, 0.06),
    Use.DRIVE: ("#87837e", "#76736f", 0.9, 0.10),
    Use.PARKING: ("#757577", "#696a6c", 1.0, 0.10),
    Use.PAVING: ("#b8a794", "#a5988a", 0.8, 0.09),
    Use.GRAVEL: ("#c6b799", "#b3a384", 0.8, 0.14),
    Use.BED: ("#5f4a35", "#6d7a3c", 1.6, 0.40),
    Use.POND: ("#3d4a3c", "#4b5a4d", 0.7, 0.06),
    Use.POOL: ("#5fb4c8", "#7cc8d6", 0.8, 0.05),
    Use.SAND: ("#d6c49b", "#c7b388", 0.7, 0.08),
    Use.BUILDING: ("#6b655c", "#7a746a", 0.8, 0.10),
    Use.HEDGEROW: ("#55682f", "#6b7a3a", 1.2, 0.40),
    Use.WHEAT: ("#c9b26a", "#bda35c", 0.9, 0.12),
    Use.PASTURE: ("#7d8f48", "#93a055", 1.1, 0.18),
    Use.CROP: ("#5f7a35", "#708a40", 0.8, 0.15),
    Use.SOIL: ("#8f7558", "#7d6549", 0.9, 0.18),
    Use.RAPE: ("#a8a046", "#8f9440", 0.9, 0.16),
}
FIRST, SECOND = (muted(colours(*(LOOKS[use][tone] for use in Use)), 0.22).astype(np.float32) for tone in (0, 1))
MIX = np.array([LOOKS[use][2] for use in Use], np.float32)
GRAIN = np.array([LOOKS[use][3] for use in Use], np.float32)


def _is_one_of(*uses: Use) -> np.ndarray:
    table = np.zeros(len(Use), bool)
    table[list(uses)] = True
    return table


ASPHALT = _is_one_of(Use.ROAD, Use.PARKING, Use.DRIVE)
SLABS = _is_one_of(Use.PAVEMENT, Use.PAVING)
ROWS = _is_one_of(Use.WHEAT, Use.CROP, Use.SOIL, Use.RAPE)
MOWN = _is_one_of(Use.LAWN, Use.PASTURE)


def ground(patch: Patch) -> Floats:
    """`uv` is the place on the plan."""
    x, y, footprint = patch.uv[:, 0], patch.uv[:, 1], patch.footprint_m
    fine = patch.noise.at(x, y, 0.07, footprint)
    broad = patch.noise.at(x, y, 0.55, footprint)
    if patch.land_use is None:
        use = np.full(len(x), Use.LAWN, np.uint8)
    else:
        ragged = np.float32(0.05)  # no border is quite straight
        use = patch.land_use.at(x + ragged * fine, y + ragged * broad)
    blend = np.clip(0.5 + 0.5 * MIX[use] * broad, 0, 1)[:, None]
    tone = FIRST[use] * (1 - blend) + SECOND[use] * blend
    middle = patch.noise.at(y + 40, x, 0.22, footprint)
    shade = np.exp(GRAIN[use] * (fine + 0.7 * middle))
    for table, pattern in ((ASPHALT, _repairs), (SLABS, _slabs), (ROWS, _rows), (MOWN, _mowing)):
        chosen = np.flatnonzero(table[use])
        if len(chosen):
            shade[chosen] *= pattern(x[chosen], y[chosen], footprint[chosen], middle[chosen])
    return tone * shade[:, None]


def _repairs(x: Floats, y: Floats, footprint: Floats, middle: Floats) -> Floats:
    """Patches of newer asphalt, dark cracks."""
    column, row = np.floor(x / 5.3), np.floor(y / 4.1)
    patched = hash01(column, row, 3) < 0.14
    inside = (np.abs(x / 5.3 - column - 0.5) < 0.33) & (np.abs(y / 4.1 - row - 0.5) < 0.28)
    cracks = (np.abs(middle) < 0.05) * visible(0.5, footprint)
    return np.where(patched & inside, np.float32(0.80), np.float32(1)) * (1 - np.float32(0.22) * cracks)


def _slabs(x: Floats, y: Floats, footprint: Floats, middle: Floats) -> Floats:
    """Paving stones of half a metre, each its own shade; groups of them still show from high up."""
    small = hash01(np.floor(x * 2), np.floor(y * 2), 4) - 0.5
    large = hash01(np.floor(x / 1.5), np.floor(y / 1.5), 5) - 0.5
    joint = np.minimum(np.abs(x * 2 - np.round(x * 2)), np.abs(y * 2 - np.round(y * 2))) < 0.06
    near, far = visible(0.5, footprint), visible(1.5, footprint)
    return (1 + 0.25 * near * small + 0.14 * far * large) * np.where(joint, 1 - 0.3 * visible(0.4, footprint), 1)


def _rows(x: Floats, y: Floats, footprint: Floats, middle: Floats) -> Floats:
    """Tracks of the tractor, rows of the crop."""
    sideways = x + 0.12 * y
    tracks = np.abs(sideways / 12 - np.round(sideways / 12)) * 12
    tyre = (np.abs(tracks - 0.9) < 0.3) * visible(1.6, footprint)
    rows = np.sin(sideways * np.float32(2 * np.pi / 1.5)) * visible(1.5, footprint)
    return (1 + 0.10 * rows) * (1 - 0.28 * tyre)


def _mowing(x: Floats, y: Floats, footprint: Floats, middle: Floats) -> Floats:
    """Faint lanes of the mower."""
    return 1 + 0.05 * np.sign(np.sin(y * np.float32(2 * np.pi / 2.6))) * visible(1.3, footprint)
