"""The colour of every kind of surface at the places that rays hit: linear albedo from patterns and noise.

Each material is one pure function of a `Patch`. Patterns fade where a pixel cannot show them (see noise.visible).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaptive_nerf.synth.ground_colours import ground
from adaptive_nerf.synth.land_use import LandUse
from adaptive_nerf.synth.mesh import Material, Mesh
from adaptive_nerf.synth.noise import Floats, FractalTile, visible
from adaptive_nerf.synth.patch import Patch
from adaptive_nerf.synth.randomness import hash01
from adaptive_nerf.synth.rays import Hits
from adaptive_nerf.synth.things import Burn
from adaptive_nerf.synth.walls import wall


@dataclass(frozen=True)
class Painter:
    """Knows what all the faces are made of."""

    mesh: Mesh
    noise: FractalTile
    land_use: LandUse | None = None
    burns: tuple[Burn, ...] = ()

    def albedo(self, hits: Hits, footprint_m: Floats) -> Floats:
        """Linear albedo where rays hit, as seen by pixels of a given size. [n, 3]"""
        colours = np.empty((len(hits), 3), np.float32)
        points = hits.point.astype(np.float32)
        material = self.mesh.material[hits.face]
        order = np.argsort(material, kind="stable")
        kinds, starts = np.unique(material[order], return_index=True)
        for kind, start, end in zip(kinds, starts, [*starts[1:], len(order)], strict=False):  # no hits: no kinds
            chosen = order[start:end]
            patch = self._patch(hits, chosen, points, footprint_m)
            colours[chosen] = SURFACES[Material(kind)](patch)
        for burn in self.burns:
            colours = _charred(colours, points, footprint_m, burn, self.noise)
        return np.clip(colours, 0, 1)

    def _patch(self, hits: Hits, chosen: npt.NDArray[np.int64], points: Floats, footprint_m: Floats) -> Patch:
        mesh, face = self.mesh, hits.face[chosen]
        uv = np.einsum("nck,nc->nk", mesh.uv.take(face, axis=0), hits.weights.take(chosen, axis=0))
        tint, traits = mesh.tint.take(face, axis=0), mesh.traits.take(face, axis=0)
        return Patch(points.take(chosen, axis=0), uv, tint, traits, mesh.salt.take(face), footprint_m.take(chosen),
                     self.noise, self.land_use)


def _charred(colours: Floats, points: Floats, footprint_m: Floats, burn: Burn, noise: FractalTile) -> Floats:
    distance = np.hypot(points[:, 0] - burn.x, points[:, 1] - burn.y)
    near = np.flatnonzero(distance < burn.radius_m * 1.3)
    if not len(near):
        return colours
    x, y, footprint = points[near, 0], points[near, 1], footprint_m[near]
    ragged = distance[near] / burn.radius_m + 0.09 * noise.at(x, y, 0.3, footprint)
    strength = np.clip((1.0 - ragged) * 7, 0, 0.93)[:, None]
    ash = np.array([0.045, 0.040, 0.036], np.float32) * np.exp(0.55 * noise.at(y, x, 0.11, footprint))[:, None]
    colours[near] = colours[near] * (1 - strength) + (ash + 0.04 * colours[near]) * strength
    return colours


def _worn(patch: Patch, amount: float, texel_m: float = 0.12) -> Floats:
    """The tint with blotches, from noise in all three directions."""
    x = patch.points[:, 0] + 0.61 * patch.points[:, 2]
    y = patch.points[:, 1] + 0.47 * patch.points[:, 2]
    return patch.tint * np.exp(np.float32(amount) * patch.noise.at(x, y, texel_m, patch.footprint_m))[:, None]


def _roof_tile(patch: Patch) -> Floats:
    """Courses of tiles, each tile its own shade; weather and moss in larger patches; a pale line of ridge tiles."""
    along, up = patch.uv[:, 0], patch.uv[:, 1]
    fine, coarse = visible(0.34, patch.footprint_m), patch.salt_noise(along, up, 0.35)
    course = np.floor(up / 0.34)
    in_course = up / 0.34 - course
    tile = hash01(np.floor(along / 0.3 + 0.5 * (course % 2)), course, patch.salt) - 0.5
    rows = 1 + fine * (np.where(in_course < 0.22, -0.38, 0.08) + 0.30 * tile)
    # Batches of tiles differ: wide enough for any view of a drone.
    batch = hash01(np.floor(along / 1.1), np.floor(up / 0.68), patch.salt) - 0.5
    batches = 1 + 0.16 * visible(1.4, patch.footprint_m) * batch
    worn = np.exp(0.15 * coarse + 0.16 * patch.salt_noise(along, up, 0.08))
    colour = patch.tint * (rows * batches * worn)[:, None]
    mossy = np.clip(patch.salt_noise(along + 31, up * 0.6, 0.22) - 0.9, 0, 1) * np.float32(0.6)
    colour += mossy[:, None] * (np.array([0.10, 0.11, 0.045], np.float32) - colour)
    ridge = (patch.traits[:, 0] - up < 0.24) & (patch.traits[:, 0] > 0)
    return np.where(ridge[:, None], colour * np.float32(1.35), colour)


def _roof_flat(patch: Patch) -> Floats:
    """Gravel or felt with seams, stains where puddles stood, darker along the parapet."""
    x, y = patch.uv[:, 0], patch.uv[:, 1]
    seam = np.abs(x / 2.1 - np.round(x / 2.1)) * 2.1 < 0.07
    stains = np.clip(patch.salt_noise(x, y, 0.45) - 0.5, 0, 1.2)
    grain = np.exp(0.14 * patch.salt_noise(x, y, 0.05) + 0.10 * patch.salt_noise(y + 9, x, 0.3))
    shade = grain * (1 - 0.28 * stains) * np.where(seam, 1 - 0.35 * visible(0.8, patch.footprint_m), 1)
    edge = np.minimum(np.minimum(x, patch.traits[:, 0] - x), np.minimum(y, patch.traits[:, 1] - y))
    return patch.tint * (shade * (0.78 + 0.22 * np.clip(edge / 0.9, 0, 1)))[:, None]


def _leaves(patch: Patch) -> Floats:
    """Light and dark tufts; the underside of a clump is darker, some leaves are yellower."""
    x = patch.points[:, 0] + 0.7 * patch.points[:, 2]
    y = patch.points[:, 1] + 0.5 * patch.points[:, 2]
    tufts = patch.noise.at(x, y, 0.09, patch.footprint_m)
    yellow = patch.noise.at(y, x, 0.5, patch.footprint_m)[:, None] * np.array([0.10, 0.04, -0.04], np.float32)
    height = patch.uv[:, 1]
    return patch.tint * (np.exp(np.float32(0.42) * tufts) * (0.50 + 0.62 * height))[:, None] * (1 + yellow)


def _car_paint(patch: Patch) -> Floats:
    return _worn(patch, 0.05)


def _glass(patch: Patch) -> Floats:
    """Dark, with a little of the sky in it."""
    shine = 0.03 + 0.03 * patch.noise.at(patch.points[:, 0], patch.points[:, 1], 0.3, patch.footprint_m)
    return patch.tint + np.maximum(shine, 0)[:, None] * np.array([0.7, 0.9, 1.1], np.float32)


def _rubble(patch: Patch) -> Floats:
    return _worn(patch, 0.38, 0.07)


def _water(patch: Patch) -> Floats:
    """Grey-green and smooth, with slow streaks; a little of the sky in it."""
    x, y = patch.points[:, 0], patch.points[:, 1]
    streaks = patch.noise.at(0.3 * x + 0.2 * y, y - 0.4 * x, 0.25, patch.footprint_m)
    broad = patch.noise.at(x, y, 0.9, patch.footprint_m)
    sky = np.array([0.022, 0.034, 0.050], np.float32) * (1 + np.float32(0.3) * broad)[:, None]
    return patch.tint * np.exp(np.float32(0.13) * streaks)[:, None] + sky


def _solar(patch: Patch) -> Floats:
    """Panels of 1 x 1.65 m in bright frames."""
    x, y = patch.uv[:, 0], patch.uv[:, 1]
    frame = (np.abs(x - np.round(x)) < 0.035) | (np.abs(y / 1.65 - np.round(y / 1.65)) * 1.65 < 0.035)
    strength = (frame * visible(0.5, patch.footprint_m))[:, None]
    sheen = np.exp(0.2 * patch.noise.at(x, y, 0.5, patch.footprint_m))[:, None]
    return patch.tint * sheen * (1 - strength) + np.float32(0.35) * strength


SURFACES: dict[Material, Callable[[Patch], npt.NDArray]] = {
    Material.GROUND: ground,
    Material.WALL: wall,
    Material.ROOF_TILE: _roof_tile,
    Material.ROOF_FLAT: _roof_flat,
    Material.LEAVES: _leaves,
    Material.PLAIN: lambda patch: _worn(patch, 0.12),
    Material.CAR_PAINT: _car_paint,
    Material.GLASS: _glass,
    Material.RUBBLE: _rubble,
    Material.WATER: _water,
    Material.SOLAR: _solar,
}
