"""The things that stand in a town, as plain values. What an event changes is the difference of two such sets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Rgb = tuple[float, float, float]  # linear albedo


class Roof(StrEnum):
    GABLE = "gable"
    HIP = "hip"
    FLAT = "flat"
    SPIRE = "spire"


class HouseState(StrEnum):
    STANDING = "standing"
    COLLAPSED = "collapsed"
    BURNT_OUT = "burnt_out"


@dataclass(frozen=True)
class House:
    """A building on its footprint; the ridge of its roof runs along its own x axis, its front faces its -y."""

    x: float
    y: float
    ground_m: float  # Up of the ground floor
    heading_rad: float
    length_m: float  # along x
    depth_m: float
    eaves_m: float
    roof: Roof
    pitch: float  # rise of the roof over its run
    wall: Rgb
    roof_tint: Rgb
    style: int  # a STYLE_ of dwellings.py; walls.py paints it
    salt: int
    extras: frozenset[str] = frozenset()  # chimney, dormer, solar, skylight, plant (machines on a flat roof)
    state: HouseState = HouseState.STANDING


@dataclass(frozen=True)
class Tree:
    x: float
    y: float
    ground_m: float
    kind: str  # broad, tall, conifer, bush, field
    height_m: float
    tint: Rgb
    salt: int
    burnt: bool = False


@dataclass(frozen=True)
class Car:
    x: float
    y: float
    ground_m: float
    heading_rad: float
    kind: str  # saloon, hatch, van
    tint: Rgb
    salt: int


@dataclass(frozen=True)
class Hedge:
    """A hedge or a fence: a long low box from one place to another."""

    x0: float
    y0: float
    x1: float
    y1: float
    ground_m: float
    height_m: float
    width_m: float
    kind: str  # hedge, fence
    tint: Rgb
    salt: int


@dataclass(frozen=True)
class Slot:
    """Where a car may stand; cars are placed in some of them."""

    x: float
    y: float
    ground_m: float
    heading_rad: float


@dataclass(frozen=True)
class Burn:
    """Scorched earth: everything within the circle is charred, with a ragged border."""

    x: float
    y: float
    radius_m: float


Thing = House | Tree | Car | Hedge
