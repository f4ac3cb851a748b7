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
    half = np.asarray(site.land_use.size_m) / 2
    copses = np.concatenate([centre + rng.normal(0, 9, (int(rng.integers(6, 16)), 2))
                             for centre in rng.uniform(-half - COUNTRY_M, half + COUNTRY_M, (12, 2))])
    hedgerows = rng.uniform(-half - COUNTRY_M, half + COUNTRY_M, (4500, 2))
    meadow = (*LAWNS, Use.PASTURE, Use.HEDGEROW, Use.CROP, Use.SOIL)
    for places, uses in ((copses, meadow), (hedgerows, (Use.HEDGEROW,))):
        outside = np.any(np.abs(places) > half + 2, axis=-1)
        fitting = outside & np.isin(site.land_use.at(places[:, 0], places[:, 1]), uses)
        for x, y in places[fitting]:
            kind, least = ("bush", 2.0) if rng.random() < 0.33 else ("field", 4.5)
            site.tree((float(x), float(y)), kind, least * rng.uniform(1, 2), rng, uses)
