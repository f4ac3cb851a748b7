"""Where a town is laid out: takes things in plan metres, puts them into the world, and paints the ground."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from adaptive_nerf.synth.land_use import LAWNS, LandUse, Use
from adaptive_nerf.synth.palette import colours, muted
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.terrain import Bend, Terrain
from adaptive_nerf.synth.things import Car, Hedge, House, Rgb, Roof, Slot, Tree

Point = tuple[float, float]

PLASTER = colours("#f2ece0", "#efe3c8", "#e8d3b0", "#f5f3ee", "#dfc7a6", "#e6dcd2", "#d9b48c", "#cfd6d8", "#e9cfc0")
BRICK = colours("#a4553d", "#8f4a38", "#b56b4e", "#96604a")
TILES = muted(colours("#a65a40", "#954c39", "#b06f50", "#854838", "#7a5044", "#54504f", "#6b625c", "#9f5b48",
                      "#8b6a58"),
              0.22)
FLAT_ROOFS = colours("#8d8f90", "#a7a49c", "#76787a", "#b7b3a8", "#5f6265")
FOLIAGE = muted(colours("#5f7f35", "#6f8a3a", "#4d6f2f", "#7c8f42", "#587a3e", "#8a9446"), 0.25)
NEEDLES = colours("#3d5c38", "#345234", "#466343")
PAINT = colours("#f4f4f2", "#d8dadb", "#9aa0a5", "#55595e", "#1f2226", "#17181a", "#8e1f1f", "#b02a25", "#1f3f78",
                "#2f5f93", "#28503a", "#c7b48c", "#e5e6e6", "#3c4148", "#c46a1c")


@dataclass
class Site:
    seed: int
    terrain: Terrain
    bend: Bend
    land_use: LandUse
    houses: list[House] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    hedges: list[Hedge] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)

    def world(self, plan: Point) -> tuple[float, float, float]:
        x, y = (float(value) for value in self.bend.to_world(plan))
        return x, y, float(self.terrain.height(x, y))

    def house(self, plan: Point, heading_rad: float, size: tuple[float, float, float],
              look: tuple[Roof, float, Rgb, Rgb, int], extras: frozenset[str] = frozenset()) -> None:
        """`size`: length, depth, eaves; `look`: roof, pitch, wall, roof tint, style. Its footprint is marked built."""
        x, y, ground_m = self.world(plan)
        length, depth, eaves = size
        across, along = (length, depth) if abs(np.cos(heading_rad)) > 0.7 else (depth, length)
        self.land_use.paint((plan[0] - across / 2, plan[1] - along / 2), (plan[0] + across / 2, plan[1] + along / 2),
                            Use.BUILDING)
        self.houses.append(House(x, y, ground_m + 0.15, self.bend.heading(plan, heading_rad), length, depth, eaves,
                                 *look, salt=len(self.houses), extras=extras))

    def tree(self, plan: Point, kind: str, height_m: float, rng: np.random.Generator,
             on: tuple[Use, ...] = (*LAWNS, Use.BED)) -> None:
        """Planted unless the ground there is taken."""
        if self.land_use.one(*plan) not in on:
            return
        x, y, ground_m = self.world(plan)
        tint = pick(rng, NEEDLES if kind == "conifer" else FOLIAGE, spread=0.12)
        self.trees.append(Tree(x, y, ground_m, kind, float(height_m), tint, salt=len(self.trees)))

    def hedge(self, start: Point, end: Point, kind: str, rng: np.random.Generator) -> None:
        x0, y0, low = self.world(start)
        x1, y1, high = self.world(end)
        if kind == "hedge":
            height, width, tint = rng.uniform(1.2, 2.0), rng.uniform(0.7, 1.1), pick(rng, FOLIAGE * 0.8, 0.1)
        else:
            height, width, tint = rng.uniform(1.0, 1.6), 0.12, pick(rng, colours("#8a6f52", "#d8d4ca", "#6d6a66"), 0.1)
        self.hedges.append(Hedge(x0, y0, x1, y1, min(low, high), float(height), float(width), kind, tint,
                                 salt=len(self.hedges)))

    def slot(self, plan: Point, heading_rad: float) -> Slot:
        x, y, ground_m = self.world(plan)
        slot = Slot(x, y, ground_m, self.bend.heading(plan, heading_rad))
        self.slots.append(slot)
        return slot

    def park(self, slot: Slot, rng: np.random.Generator) -> None:
        self.cars.append(car_in(slot, rng))

    def rng(self, purpose: str, *index: int) -> np.random.Generator:
        return generator(self.seed, purpose, *index)


def car_in(slot: Slot, rng: np.random.Generator) -> Car:
    turned = slot.heading_rad + (np.pi if rng.random() < 0.4 else 0) + rng.normal(0, 0.03)
    kind = str(rng.choice(["saloon", "hatch", "hatch", "van"], p=[0.45, 0.25, 0.2, 0.1]))
    return Car(slot.x + float(rng.normal(0, 0.15)), slot.y + float(rng.normal(0, 0.15)), slot.ground_m, float(turned),
               kind, pick(rng, PAINT, 0.04), salt=int(rng.integers(1 << 30)))


def pick(rng: np.random.Generator, tints: np.ndarray, spread: float) -> Rgb:
    """One of the tints, a little lighter or darker."""
    red, green, blue = tints[rng.integers(len(tints))] * (1 + rng.uniform(-spread, spread))
    return float(red), float(green), float(blue)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A draw from an interval; the middle of it where small land leaves none."""
    return float(rng.uniform(low, high)) if high > low else (low + high) / 2
