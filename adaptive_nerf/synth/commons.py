"""Blocks that everybody uses: the park, the market with its car park, the church on its square. In plan metres."""

from __future__ import annotations

import numpy as np

from adaptive_nerf.synth.dwellings import STYLE_BRICK, STYLE_CHURCH, STYLE_HALL, STYLE_SHED, car_park
from adaptive_nerf.synth.land_use import LAWNS, Use
from adaptive_nerf.synth.palette import colour
from adaptive_nerf.synth.site import BRICK, FLAT_ROOFS, Site, pick
from adaptive_nerf.synth.streets import Block
from adaptive_nerf.synth.things import Roof


def park(site: Site, block: Block, rng: np.random.Generator) -> None:
    """Lawns, a pond, winding paths, a playground, many trees."""
    low, high = (block.x0, block.y0), (block.x1, block.y1)
    x_mid, y_mid = (block.x0 + block.x1) / 2, (block.y0 + block.y1) / 2
    site.land_use.paint(low, high, Use.LAWN)
    site.land_use.paint_where(low, high, Use.MEADOW, lambda x, y: np.sin(x / 7) + np.sin(y / 6 + 1) + 0 * x > 0.7)
    swing, wave = rng.uniform(3, 6), rng.uniform(9, 13)
    slope = block.depth_m / block.width_m
    paths = (lambda x, y: abs(y - y_mid - swing * np.sin((x - x_mid) / wave)) < 1.0,
             lambda x, y: abs((y - y_mid) - slope * (x - x_mid)) < 1.1 + 0 * y,
             lambda x, y: abs(np.hypot((x - x_mid) / 1.3, y - y_mid) - block.depth_m * 0.36) < 0.8)
    for inside in paths:
        site.land_use.paint_where(low, high, Use.GRAVEL, inside)
    px, py = x_mid - block.width_m * 0.22, y_mid + block.depth_m * 0.13
    radius = block.depth_m * 0.17

    def pond(x: np.ndarray, y: np.ndarray, margin: float) -> np.ndarray:
        angle = np.arctan2(y - py, x - px)
        return np.hypot((x - px) / 1.4, y - py) < radius * (1 + 0.15 * np.sin(3 * angle + 1)) + margin

    site.land_use.paint_where(low, high, Use.SAND, lambda x, y: pond(x, y, 0.7))
    site.land_use.paint_where(low, high, Use.POND, lambda x, y: pond(x, y, 0.0))
    sand = (x_mid + block.width_m * 0.2, y_mid - block.depth_m * 0.3)
    site.land_use.paint(sand, (sand[0] + 7, sand[1] + 5), Use.SAND)
    site.house((sand[0] + 2.5, sand[1] + 2.5), 0.0, (1.8, 1.8, 1.6),
               (Roof.SPIRE, 1.0, tuple(colour("#c8452f")), tuple(colour("#2f6fb0")), STYLE_SHED))
    for _ in range(round(block.width_m * block.depth_m / 34)):
        at = rng.uniform(block.x0 + 1, block.x1 - 1), rng.uniform(block.y0 + 1, block.y1 - 1)
        kind = str(rng.choice(["broad", "tall", "conifer", "bush"], p=[0.5, 0.2, 0.15, 0.15]))
        site.tree(at, kind, rng.uniform(1.5, 2.5) if kind == "bush" else rng.uniform(5, 11), rng)


def market(site: Site, block: Block, rng: np.random.Generator) -> None:
    """A big low hall, loading yard behind, cars in front."""
    site.land_use.paint((block.x0, block.y0), (block.x1, block.y1), Use.PARKING)
    depth = block.depth_m * 0.42
    hall = (block.width_m * 0.62, depth, 5.6)
    x = block.x0 + 2.5 + hall[0] / 2
    site.land_use.paint((block.x0 + 1, block.y1 - depth - 7), (block.x1 - 1, block.y1 - depth - 4), Use.PAVING)
    site.house((x, block.y1 - 3 - depth / 2), 0.0, hall,
               (Roof.FLAT, 0, tuple(colour("#d5d8da")), tuple(colour("#b9b9b3")), STYLE_HALL),
               frozenset({"plant", "skylight", "solar"}))
    yard = block.x1 - (x + hall[0] / 2)
    if yard > 9:
        site.house((block.x1 - yard / 2 + 1, block.y1 - 4 - depth / 3), np.pi / 2, (depth * 0.55, yard * 0.6, 4.2),
                   (Roof.FLAT, 0, pick(rng, BRICK, 0.1), pick(rng, FLAT_ROOFS, 0.1), STYLE_BRICK), frozenset({"plant"}))
    car_park(site, (block.x0 + 1.5, block.y0 + 1.0), (block.x1 - 1.5, block.y1 - depth - 7.5), 0.6, rng)
    for x in np.arange(block.x0 + 2, block.x1 - 1, 7.8):
        site.land_use.paint((x - 0.9, block.y0 + 0.1), (x + 0.9, block.y0 + 1.3), Use.BED)
        site.tree((float(x), block.y0 + 0.8), "tall", rng.uniform(4, 6), rng)


def church(site: Site, block: Block, rng: np.random.Generator) -> None:
    """A nave with a spire on a paved square, plane trees, an old house or two beside it."""
    x_mid, y_mid = (block.x0 + block.x1) / 2, (block.y0 + block.y1) / 2
    site.land_use.paint((block.x0, block.y0), (block.x1, block.y1), Use.PAVING)
    for x0, x1 in ((block.x0 + 1.5, x_mid - 11), (x_mid + 13, block.x1 - 1.5)):
        if x1 - x0 > 3:
            site.land_use.paint((x0, block.y0 + 2), (x1, block.y1 - 2), Use(int(rng.choice(LAWNS))))
    site.land_use.paint_where((block.x0, block.y0), (block.x1, block.y1), Use.GRAVEL,
                              lambda x, y: abs(np.hypot(x - x_mid, y - block.y0 - 6) - 3.4) < 0.6)
    stone, slate = tuple(colour("#cfc4ae")), tuple(colour("#5b6670"))
    length = min(24.0, block.width_m * 0.55)
    site.house((x_mid + 2, y_mid + 2), 0.0, (length, 10.0, 7.5), (Roof.GABLE, 1.15, stone, slate, STYLE_CHURCH))
    site.house((x_mid + 2 - length / 2 - 2.2, y_mid + 2), 0.0, (5.2, 5.2, 14.5), (Roof.SPIRE, 2.6, stone, slate,
                                                                                STYLE_CHURCH))
    site.house((x_mid + 5, y_mid + 2), np.pi / 2, (16.0, 7.0, 7.0), (Roof.GABLE, 1.1, stone, slate, STYLE_CHURCH))
    for x in np.arange(block.x0 + 4, block.x1 - 3, 6.2):
        for y in (block.y0 + 3.2, block.y1 - 3.2):
            if rng.random() < 0.75:
                site.tree((float(x), y), "broad", rng.uniform(5, 8), rng, on=(*LAWNS, Use.PAVING))
