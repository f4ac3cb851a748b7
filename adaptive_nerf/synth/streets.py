"""The streets of the plan: a loose grid, its markings and pavements, parked and driving cars, the blocks between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptive_nerf.synth.land_use import Road, Use
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.site import Site

BLOCK_M = 47.0


@dataclass(frozen=True)
class Block:
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width_m(self) -> float:
        return self.x1 - self.x0

    @property
    def depth_m(self) -> float:
        return self.y1 - self.y0


def lay_roads(seed: int, size_m: tuple[float, float]) -> tuple[Road, ...]:
    """Roads between the blocks; the middle one of each direction is wider and goes on beyond the town."""
    roads = []
    for along_x, extent in ((False, size_m[0]), (True, size_m[1])):
        rng = generator(seed, "roads", int(along_x))
        count = max(2, round(extent / BLOCK_M))
        middle = count // 2
        for number in range(1, count):
            at = extent * (number / count - 0.5) + rng.uniform(-2.5, 2.5)
            wide = number == middle
            roads.append(Road(along_x, float(at), 3.9 if wide else 2.9, 2.4 if wide else 1.7, wide))
    return tuple(roads)


def blocks_between(roads: tuple[Road, ...], size_m: tuple[float, float]) -> list[Block]:
    """The land between the roads, south to north, west to east."""
    columns, rows = _gaps(roads, size_m[0], along_x=False), _gaps(roads, size_m[1], along_x=True)
    return [Block(x0, y0, x1, y1) for y0, y1 in rows for x0, x1 in columns]


def _gaps(roads: tuple[Road, ...], extent_m: float, along_x: bool) -> list[tuple[float, float]]:
    crossing = sorted((road for road in roads if road.along_x == along_x), key=lambda road: road.at_m)
    starts = [-extent_m / 2] + [road.at_m + road.edge_m for road in crossing]
    ends = [road.at_m - road.edge_m for road in crossing] + [extent_m / 2]
    return list(zip(starts, ends, strict=True))


def paint_roads(site: Site) -> None:
    """Pavements first, carriageways over them, so that crossings come out right; markings keep off crossings."""
    roads = site.land_use.roads
    for use, extra in ((Use.PAVEMENT, None), (Use.KERB, 0.25), (Use.ROAD, 0.0)):
        for road in roads:
            half = road.edge_m if extra is None else road.half_width_m + extra
            _paint_strip(site, road, (-half, half), _whole(site, road), use)
    for road in roads:
        for start, end in _stretches(site, road):
            _mark(site, road, start, end)


def _mark(site: Site, road: Road, start: float, end: float) -> None:
    """A broken middle line, edge lines on wide roads, zebra crossings where it ends at a junction."""
    for at in np.arange(start + 5.5, end - 7.5, 4.5):
        _paint_strip(site, road, (-0.09, 0.09), (at, at + 2.4), Use.MARKING)
    if not road.goes_on:
        return
    for at in (start + 0.8, end - 3.4):
        for offset in np.arange(-road.half_width_m + 0.35, road.half_width_m - 0.4, 0.95):
            _paint_strip(site, road, (offset, offset + 0.5), (at, at + 2.6), Use.MARKING)


def line_streets(site: Site) -> None:
    """Cars along the kerb, cars on the move, trees on the wide pavements."""
    for number, road in enumerate(site.land_use.roads):
        rng = site.rng("street life", number)
        for start, end in _stretches(site, road):
            _park_along(site, road, (start, end), rng)
            _drive_along(site, road, (start, end), rng)
            if road.goes_on:
                _plant_along(site, road, (start, end), rng)


def _park_along(site: Site, road: Road, stretch: tuple[float, float], rng: np.random.Generator) -> None:
    side = -1 if rng.random() < 0.5 else 1
    for at in np.arange(stretch[0] + 9, stretch[1] - 8, 6.1):
        slot = site.slot(_on(road, at, side * (road.half_width_m - 1.05)), _direction(road))
        if rng.random() < 0.45:
            site.park(slot, rng)


def _drive_along(site: Site, road: Road, stretch: tuple[float, float], rng: np.random.Generator) -> None:
    if road.goes_on and stretch[1] - stretch[0] > 20 and rng.random() < 0.8:
        at, lane = rng.uniform(stretch[0] + 5, stretch[1] - 5), rng.choice([-0.45, 0.45])
        before = len(site.slots)
        site.park(site.slot(_on(road, at, lane * road.half_width_m), _direction(road)), rng)
        del site.slots[before:]  # nobody parks in the lane


def _plant_along(site: Site, road: Road, stretch: tuple[float, float], rng: np.random.Generator) -> None:
    for side in (-1, 1):
        for at in np.arange(stretch[0] + 6, stretch[1] - 5, 9.5):
            if rng.random() < 0.7:
                site.tree(_on(road, at, side * (road.edge_m - 0.6)), "tall", rng.uniform(5, 7.5), rng,
                          on=(Use.PAVEMENT,))


def _whole(site: Site, road: Road) -> tuple[float, float]:
    half = site.land_use.size_m[0 if road.along_x else 1] / 2
    return -half, half


def _stretches(site: Site, road: Road) -> list[tuple[float, float]]:
    """The parts of a road between its junctions."""
    low, high = _whole(site, road)
    crossing = sorted((other for other in site.land_use.roads if other.along_x != road.along_x),
                      key=lambda other: other.at_m)
    starts = [low] + [other.at_m + other.half_width_m for other in crossing]
    ends = [other.at_m - other.half_width_m for other in crossing] + [high]
    return list(zip(starts, ends, strict=True))


def _paint_strip(site: Site, road: Road, across: tuple[float, float], along: tuple[float, float], use: Use) -> None:
    low, high = (along[0], road.at_m + across[0]), (along[1], road.at_m + across[1])
    if road.along_x:
        site.land_use.paint(low, high, use)
    else:
        site.land_use.paint(low[::-1], high[::-1], use)


def _on(road: Road, along_m: float, off_m: float) -> tuple[float, float]:
    return (along_m, road.at_m + off_m) if road.along_x else (road.at_m + off_m, along_m)


def _direction(road: Road) -> float:
    return 0.0 if road.along_x else np.pi / 2
