"""Blocks that people live in: villas in gardens, terraces, blocks of flats. All in plan metres."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from adaptive_nerf.synth.land_use import LAWNS, Use
from adaptive_nerf.synth.site import BRICK, FLAT_ROOFS, PLASTER, TILES, Site, between, pick
from adaptive_nerf.synth.streets import Block
from adaptive_nerf.synth.things import Roof

STYLE_HOUSE, STYLE_BRICK, STYLE_FLATS, STYLE_SHED, STYLE_HALL, STYLE_CHURCH = range(6)


@dataclass(frozen=True)
class Plot:
    """A piece of land with its own axes: x along the street, y away from it, the origin at the street's edge."""

    x0: float
    street_y: float
    away: int  # +1 if the land lies north of its street
    width_m: float
    depth_m: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.x0 + x, self.street_y + self.away * y

    def span(self, low: tuple[float, float], high: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        """The corners of a rectangle of the plot as low and high plan corners."""
        first, last = self.at(*low), self.at(*high)
        return (min(first[0], last[0]), min(first[1], last[1])), (max(first[0], last[0]), max(first[1], last[1]))

    @property
    def heading_rad(self) -> float:
        """Of a house whose front looks at the street."""
        return 0.0 if self.away > 0 else np.pi


def plots_of(block: Block, width_m: float, rng: np.random.Generator) -> list[Plot]:
    """Two rows of plots, back to back, or one where the block is not deep."""
    rows = [(block.y0, 1), (block.y1, -1)] if block.depth_m > 26 else [(block.y0, 1)]
    depth = block.depth_m / len(rows)
    plots = []
    for street_y, away in rows:
        count = max(1, round(block.width_m / width_m))
        inner = np.arange(1, count) + rng.uniform(-0.08, 0.08, count - 1)
        cuts = block.x0 + block.width_m / count * np.concatenate([[0], inner, [count]])
        plots += [Plot(float(a), street_y, away, float(b - a), depth) for a, b in pairwise(cuts)]
    return plots


def villas(site: Site, block: Block, rng: np.random.Generator) -> None:
    for plot in plots_of(block, 14.5, rng):
        _garden(site, plot, rng)
        house_depth = _villa(site, plot, rng)
        _back_garden(site, plot, house_depth, rng)
        _borders(site, plot, rng)


def _villa(site: Site, plot: Plot, rng: np.random.Generator) -> float:
    """The house and its drive; returns how far into the plot it reaches."""
    setback = rng.uniform(3.2, 5.2)
    length = min(plot.width_m - 4.2, rng.uniform(8.5, 11.5))
    depth = min(plot.depth_m - setback - 4, rng.uniform(7.5, 9.5))
    middle = (length / 2 + 0.8, setback + depth / 2)
    eaves = float(rng.choice([3.1, 5.4, 5.8]))
    brick = rng.random() < 0.25
    wall, style = (pick(rng, BRICK, 0.1), STYLE_BRICK) if brick else (pick(rng, PLASTER, 0.06), STYLE_HOUSE)
    roof = Roof(str(rng.choice(["gable", "gable", "gable", "hip", "flat"], p=[0.3, 0.2, 0.2, 0.2, 0.1])))
    tint = pick(rng, FLAT_ROOFS if roof is Roof.FLAT else TILES, 0.12)
    extras = frozenset(name for name, chance in (("chimney", 0.7), ("dormer", 0.35), ("solar", 0.3), ("skylight", 0.4))
                       if rng.random() < chance)
    across = roof is Roof.GABLE and rng.random() < 0.3  # the gable looks at the street
    size = (depth, length, eaves) if across else (length, depth, eaves)
    look = (roof, rng.uniform(0.6, 0.95), wall, tint, style)
    drive = plot.span((length + 1.2, 0), (length + 3.9, setback + depth * 0.6))
    site.land_use.paint(*drive, Use(int(rng.choice([Use.DRIVE, Use.PAVING, Use.GRAVEL]))))
    site.land_use.paint(*plot.span((middle[0] - 0.6, 0), (middle[0] + 0.6, setback)), Use.PAVING)
    site.house(plot.at(*middle), plot.heading_rad + (np.pi / 2 if across else 0), size, look, extras)
    if rng.random() < 0.4:  # a garage at the end of the drive
        site.house(plot.at(length + 2.6, setback + depth * 0.75), plot.heading_rad, (3.2, 5.6, 2.6),
                   (Roof.FLAT, 0, wall, pick(rng, FLAT_ROOFS, 0.1), STYLE_SHED))
    slot = site.slot(plot.at(length + 2.55, setback * 0.55 + 0.9), np.pi / 2)
    if rng.random() < 0.6:
        site.park(slot, rng)
    return setback + depth


def _garden(site: Site, plot: Plot, rng: np.random.Generator) -> None:
    grass = Use(int(rng.choice(LAWNS, p=[0.5, 0.3, 0.2])))
    site.land_use.paint(*plot.span((0, 0), (plot.width_m, plot.depth_m)), grass)


def _back_garden(site: Site, plot: Plot, start: float, rng: np.random.Generator) -> None:
    """Terrace, beds, a shed, now and then a pool, and trees where there is room."""
    room = plot.depth_m - start
    middle = plot.width_m * 0.4
    site.land_use.paint(*plot.span((middle - 2, start), (middle + 2, start + min(3.0, room * 0.5))), Use.PAVING)
    if room > 5 and rng.random() < 0.3:
        _pool(site, plot, start, rng)
    for _ in range(int(rng.integers(1, 3))):
        x, y = between(rng, 0.8, plot.width_m - 4), between(rng, start + 2.5, plot.depth_m - 1.8)
        site.land_use.paint(*plot.span((x, y), (x + rng.uniform(1.5, 3.5), y + 1.1)), Use.BED)
    if rng.random() < 0.55:
        site.house(plot.at(plot.width_m - 2.2, plot.depth_m - 2.0), plot.heading_rad, (2.6, 2.0, 1.9),
                   (Roof.GABLE, 0.5, (0.2, 0.13, 0.08), (0.12, 0.11, 0.11), STYLE_SHED))
    for _ in range(int(rng.integers(2, 5))):
        kind = str(rng.choice(["broad", "bush", "conifer", "tall"], p=[0.4, 0.35, 0.12, 0.13]))
        at = plot.at(between(rng, 1.2, plot.width_m - 1.2), between(rng, start + 2.2, plot.depth_m - 0.8))
        site.tree(at, kind, rng.uniform(1.5, 2.6) if kind == "bush" else rng.uniform(4, 8.5), rng)
    if rng.random() < 0.6:
        site.tree(plot.at(rng.uniform(0.8, 4), rng.uniform(1.2, 2.6)), "bush", rng.uniform(1.2, 2.4), rng)


def _pool(site: Site, plot: Plot, start: float, rng: np.random.Generator) -> None:
    x, y = between(rng, 1.5, plot.width_m - 6.5), start + rng.uniform(2.4, 3.2)
    site.land_use.paint(*plot.span((x - 0.7, y - 0.7), (x + 5.7, y + 3.5)), Use.PAVING)
    site.land_use.paint(*plot.span((x, y), (x + 5.0, y + 2.8)), Use.POOL)


def _borders(site: Site, plot: Plot, rng: np.random.Generator) -> None:
    kind = "hedge" if rng.random() < 0.65 else "fence"
    site.hedge(plot.at(0.3, 1.2), plot.at(0.3, plot.depth_m - 0.3), kind, rng)
    if rng.random() < 0.8:
        site.hedge(plot.at(0.3, plot.depth_m - 0.4), plot.at(plot.width_m - 0.3, plot.depth_m - 0.4), kind, rng)
    if rng.random() < 0.5:
        site.hedge(plot.at(0.4, 0.5), plot.at(plot.width_m * 0.36, 0.5), "hedge", rng)


def terrace(site: Site, block: Block, rng: np.random.Generator) -> None:
    """Houses wall to wall, each of its own colour, narrow gardens behind."""
    for number, plot in enumerate(plots_of(block, 6.4, rng)):
        _garden(site, plot, rng)
        row = site.rng("terrace row", int(plot.away > 0))
        eaves, pitch, depth = row.choice([5.6, 6.2]), row.uniform(0.65, 0.85), row.uniform(8.5, 9.5)
        site.land_use.paint(*plot.span((0, 0), (plot.width_m, 2.2)), Use.PAVING if number % 3 else Use.GRAVEL)
        brick = rng.random() < 0.35
        look = (Roof.GABLE, pitch, pick(rng, BRICK if brick else PLASTER, 0.1), pick(rng, TILES[:4], 0.1),
                STYLE_BRICK if brick else STYLE_HOUSE)
        extras = frozenset({"chimney"} | ({"skylight"} if rng.random() < 0.4 else set()))
        site.house(plot.at(plot.width_m / 2, 2.2 + depth / 2), plot.heading_rad, (plot.width_m, depth, float(eaves)),
                   look, extras)
        _narrow_garden(site, plot, 2.2 + depth, rng)


def _narrow_garden(site: Site, plot: Plot, start: float, rng: np.random.Generator) -> None:
    site.land_use.paint(*plot.span((0.4, start), (plot.width_m - 0.4, start + 2.2)), Use.PAVING)
    site.hedge(plot.at(0, start + 1), plot.at(0, plot.depth_m), "fence" if rng.random() < 0.6 else "hedge", rng)
    if rng.random() < 0.4:
        site.house(plot.at(plot.width_m - 1.6, plot.depth_m - 1.6), plot.heading_rad, (2.2, 1.8, 1.9),
                   (Roof.FLAT, 0, (0.2, 0.13, 0.08), (0.1, 0.1, 0.1), STYLE_SHED))
    at = plot.at(between(rng, 1, plot.width_m - 1), between(rng, start + 2.5, plot.depth_m))
    site.tree(at, str(rng.choice(["bush", "broad"])), rng.uniform(1.6, 4.5), rng)


def flats(site: Site, block: Block, rng: np.random.Generator) -> None:
    """Two slabs with flat roofs on a shared lawn, a car park between them."""
    site.land_use.paint((block.x0, block.y0), (block.x1, block.y1), Use.LAWN)
    length, depth = block.width_m * 0.72, min(11.0, block.depth_m * 0.3)
    middle_y = (block.y0 + block.y1) / 2
    strip = (block.y0 + depth + 5, block.y1 - depth - 5)
    if strip[1] - strip[0] > 6:
        car_park(site, (block.x0 + 4, middle_y - 5.3), (block.x1 - 2, middle_y + 5.3), 0.6, rng)
    for y, heading in ((block.y0 + 4 + depth / 2, 0.0), (block.y1 - 4 - depth / 2, np.pi)):
        wall = pick(rng, PLASTER, 0.05)
        x = (block.x0 + block.x1) / 2 + rng.uniform(-2, 2)
        site.land_use.paint((x - 1.2, min(y, middle_y)), (x + 1.2, max(y, middle_y)), Use.PAVING)
        site.house((x, y), heading, (length, depth, float(rng.choice([8.4, 11.2]))),
                   (Roof.FLAT, 0, wall, pick(rng, FLAT_ROOFS, 0.1), STYLE_FLATS), frozenset({"plant", "skylight"}))
    for _ in range(16):
        at = rng.uniform(block.x0 + 1.5, block.x1 - 1.5), rng.uniform(block.y0 + 1, block.y1 - 1)
        if abs(at[1] - middle_y) > 6.5 + depth or abs(at[0] - (block.x0 + block.x1) / 2) > length / 2 + 2:
            site.tree(at, str(rng.choice(["broad", "tall", "bush"])), rng.uniform(3, 8), rng)


def car_park(site: Site, low: tuple[float, float], high: tuple[float, float], full: float,
             rng: np.random.Generator) -> None:
    """Rows of marked slots either side of an aisle, along x."""
    site.land_use.paint(low, high, Use.PARKING)
    for row in np.arange(low[1], high[1] - 4.9, 10.5):
        for side_y in (row, row + 5.6 if row + 10.5 <= high[1] + 0.3 else None):
            if side_y is None:
                continue
            for x in np.arange(low[0] + 1.0, high[0] - 2.6, 2.6):
                site.land_use.paint((x - 0.07, side_y + 0.2), (x + 0.07, side_y + 4.8), Use.MARKING)
                slot = site.slot((x + 1.3, side_y + 2.5), np.pi / 2)
                if rng.random() < full:
                    site.park(slot, rng)
