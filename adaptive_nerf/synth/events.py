"""What happens between two flights. An event turns one layout into another; most of the town stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from adaptive_nerf.synth.layout import Layout
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.site import car_in
from adaptive_nerf.synth.things import Burn, HouseState, Slot

COLLAPSED_PART = 0.28  # of the houses worth the name
SMALLEST_HOUSE_M2 = 30.0
FLOODED_PART = 0.22  # of the town's ground
BURNT_REACH = 0.26  # of the town's shorter side


def collapse(layout: Layout) -> Layout:
    """An earthquake: houses near its centre fall, and single ones elsewhere."""
    rng = generator(layout.seed, "collapse")
    centre = rng.uniform(-0.25, 0.25, 2) * layout.size_m
    large = [number for number, house in enumerate(layout.houses)
             if house.length_m * house.depth_m > SMALLEST_HOUSE_M2]
    reach = max(layout.size_m) * 0.35
    doom = {number: np.hypot(layout.houses[number].x - centre[0], layout.houses[number].y - centre[1]) / reach
            + rng.uniform(0, 1.1) for number in large}
    fallen = set(sorted(large, key=doom.__getitem__)[:max(1, round(COLLAPSED_PART * len(large)))])
    return layout.with_things(houses=tuple(replace(house, state=HouseState.COLLAPSED) if number in fallen else house
                                           for number, house in enumerate(layout.houses)))


def flood(layout: Layout) -> Layout:
    """Water over the lowest ground of the town."""
    x, y = np.meshgrid(*(np.linspace(-extent / 2, extent / 2, 80) for extent in layout.size_m))
    return layout.with_things(water_m=float(np.quantile(layout.terrain.height(x, y), FLOODED_PART)) + 0.1)


def fire_scar(layout: Layout) -> Layout:
    """A fire in one quarter: charred ground, bare trees, burnt-out houses."""
    rng = generator(layout.seed, "fire scar")
    radius = BURNT_REACH * min(layout.size_m)
    x, y = (float(value) for value in rng.uniform(-0.22, 0.22, 2) * layout.size_m)
    burn = Burn(x, y, radius)

    def inside(thing_x: float, thing_y: float, part: float) -> bool:
        return bool(np.hypot(thing_x - x, thing_y - y) < part * radius)

    return layout.with_things(
        burns=(burn,),
        houses=tuple(replace(house, state=HouseState.BURNT_OUT) if inside(house.x, house.y, 0.75) else house
                     for house in layout.houses),
        trees=tuple(replace(tree, burnt=True) if inside(tree.x, tree.y, 0.95) else tree for tree in layout.trees),
        hedges=tuple(hedge for hedge in layout.hedges
                     if not inside((hedge.x0 + hedge.x1) / 2, (hedge.y0 + hedge.y1) / 2, 0.95)))


def parked(layout: Layout) -> Layout:
    """Another day: some cars have left and others have come."""
    rng = generator(layout.seed, "parked")
    staying = tuple(car for car in layout.cars if rng.random() > 0.45)
    free = [slot for slot in layout.slots if _is_free(slot, staying)]
    chosen = rng.permutation(len(free))[:max(1, round(0.4 * len(free)))]
    return layout.with_things(cars=staying + tuple(car_in(free[number], rng) for number in sorted(chosen)))


def _is_free(slot: Slot, cars: tuple) -> bool:
    return all(np.hypot(car.x - slot.x, car.y - slot.y) > 3.0 for car in cars)


EVENTS: dict[str, Callable[[Layout], Layout]] = {"collapse": collapse, "flood": flood, "fire_scar": fire_scar,
                                                 "parked": parked}
