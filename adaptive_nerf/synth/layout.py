"""The whole town as plain values, before any triangle: a function of the seed and the size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from adaptive_nerf.synth import commons, dwellings
from adaptive_nerf.synth.land_use import LAWNS, LandUse, Use
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.site import Site
from adaptive_nerf.synth.streets import Block, blocks_between, lay_roads, line_streets, paint_roads
from adaptive_nerf.synth.terrain import Bend, Terrain
from adaptive_nerf.synth.things import Burn, Car, Hedge, House, Slot, Thing, Tree

FILLERS = {"villas": dwellings.villas, "terrace": dwellings.terrace, "flats": dwellings.flats,
           "park": commons.park, "market": commons.market, "church": commons.church}
# A town of any size begins with the first of these; which block gets which is drawn.
KINDS = ("villas", "market", "park", "terrace", "villas", "flats", "church", "villas", "terrace")
COUNTRY_M = 330.0  # trees stand as far out as this from the town's edge


@dataclass(frozen=True)
class Layout:
    seed: int
    size_m: tuple[float, float]
    terrain: Terrain
    bend: Bend
    land_use: LandUse
    houses: tuple[House, ...]
    trees: tuple[Tree, ...]
    hedges: tuple[Hedge, ...]
    cars: tuple[Car, ...]
    slots: tuple[Slot, ...]
    burns: tuple[Burn, ...] = ()
    water_m: float | None = None  # Up of a flood's surface

    @property
    def things(self) -> tuple[Thing, ...]:
        return self.houses + self.trees + self.hedges + self.cars

    def with_things(self, **kinds: tuple) -> Layout:
        return replace(self, **kinds)


def make_layout(seed: int, size_m: tuple[float, float]) -> Layout:
    land_use = LandUse(size_m, lay_roads(seed, size_m), salt=seed % 100_003)
    site = Site(seed, Terrain(seed, size_m), Bend(seed), land_use)
    blocks = blocks_between(land_use.roads, size_m)
    for number, (block, kind) in enumerate(zip(blocks, _kinds(seed, blocks), strict=True)):
        FILLERS[kind](site, block, site.rng(f"block of {kind}", number))
    paint_roads(site)
    line_streets(site)
    _country(site)
    return Layout(seed, size_m, site.terrain, site.bend, land_use, tuple(site.houses), tuple(site.trees),
                  tuple(site.hedges), tuple(site.cars), tuple(site.slots))


def _kinds(seed: int, blocks: list[Block]) -> list[str]:
    rng = generator(seed, "block kinds")
    kinds = [KINDS[number] if number < len(KINDS) else str(rng.choice(["villas", "villas", "terrace", "flats"]))
             for number in range(len(blocks))]
    return [kinds[number] for number in rng.permutation(len(kinds))]


def _country(site: Site) -> None:
    """Hedgerow trees and copses around the town."""
    rng = site.rng("country")
    reach = np.asarray(site.land_use.size_m) / 2 + COUNTRY_M
    copses = rng.uniform(-reach, reach, (14, 2))
    for centre in copses:
        for offset in rng.normal(0, 9, (int(rng.integers(6, 16)), 2)):
            _country_tree(site, centre + offset, rng, on=(*LAWNS, Use.PASTURE, Use.HEDGEROW, Use.CROP, Use.SOIL))
    for at in rng.uniform(-reach, reach, (6000, 2)):
        _country_tree(site, at, rng, on=(Use.HEDGEROW,))


def _country_tree(site: Site, at: np.ndarray, rng: np.random.Generator, on: tuple[Use, ...]) -> None:
    if np.all(np.abs(at) < np.asarray(site.land_use.size_m) / 2 + 2):
        return
    site.tree((float(at[0]), float(at[1])), str(rng.choice(["broad", "broad", "tall", "bush"])), rng.uniform(3, 9), rng,
              on=on)
