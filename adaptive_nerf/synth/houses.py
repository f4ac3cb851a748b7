"""Houses as triangles: walls with texture coordinates for windows, roofs with overhang, chimneys, dormers."""

from __future__ import annotations

import numpy as np

from adaptive_nerf.synth.dwellings import STYLE_SHED
from adaptive_nerf.synth.mesh import BOX_SIDES, NOTHING, Material, Mesh, box, box_corners, join, quads, triangles
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.things import House, Roof

FOUNDATION_M = 1.6  # walls go on below the floor, so that a slope leaves no gap
TRIM = (0.62, 0.60, 0.56)
METAL = (0.42, 0.43, 0.44)


def house_mesh(house: House) -> Mesh:
    """A standing house, in the world."""
    rng = generator(house.salt, "house details")
    parts = [_walls(house), ROOFS[house.roof](house)]
    parts += [EXTRAS[name](house, rng) for name in sorted(house.extras) if name in EXTRAS]
    return join(parts).salted(house.salt).placed((house.x, house.y, house.ground_m), house.heading_rad)


def _walls(house: House) -> Mesh:
    a, b, top = house.length_m / 2, house.depth_m / 2, house.eaves_m
    foot = [(-a, -b), (a, -b), (a, b), (-a, b)]
    corners, uv, traits = [], [], []
    for side, (start, end) in enumerate(zip(foot, foot[1:] + foot[:1], strict=True)):
        width = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        corners.append([(*start, -FOUNDATION_M), (*end, -FOUNDATION_M), (*end, top), (*start, top)])
        uv.append([(0, -FOUNDATION_M), (width, -FOUNDATION_M), (width, top), (0, top)])
        traits.append([width, top, house.style, side])
    return quads(corners, Material.WALL, house.wall, uv, np.array(traits))


def _gable_roof(house: House) -> Mesh:
    a, b, over = house.length_m / 2, house.depth_m / 2, _overhang(house)
    rise = house.pitch * b
    low, ridge = house.eaves_m - house.pitch * over, house.eaves_m + rise
    ends, eaves = a + over * 0.7, b + over
    slope_m = float(np.hypot(eaves, ridge - low))
    thick = 0.14
    slopes = [[(-ends, -eaves, low), (ends, -eaves, low), (ends, 0, ridge), (-ends, 0, ridge)],
              [(ends, eaves, low), (-ends, eaves, low), (-ends, 0, ridge), (ends, 0, ridge)]]
    lifted = np.array(slopes) + np.array([0, 0, thick])
    edges = []
    for slope in lifted:
        for first, second in ((0, 1), (1, 2), (3, 0)):
            p, q = slope[first], slope[second]
            edges.append([p - [0, 0, thick + 0.1], q - [0, 0, thick + 0.1], q, p])
    gables = [[(x, -b, house.eaves_m), (x, b, house.eaves_m), (x, 0, ridge)] for x in (-a, a)]
    gable_uv = [[(0, house.eaves_m), (2 * b, house.eaves_m), (b, ridge)]] * 2
    wall_traits = (2 * b, house.eaves_m, house.style, 1)
    return join([quads(lifted, Material.ROOF_TILE, house.roof_tint, traits=(slope_m, 0, 0, 0)),
                 quads(edges, Material.PLAIN, TRIM),
                 triangles(gables, Material.WALL, house.wall, gable_uv, wall_traits)])


def _hip_roof(house: House) -> Mesh:
    over = _overhang(house)
    a, b = house.length_m / 2 + over, house.depth_m / 2 + over
    low = house.eaves_m - house.pitch * over + 0.1
    ridge_half = max(a - b, 0.0)
    top = low + house.pitch * min(a, b)
    slope_m = float(np.hypot(b, top - low))
    sides = [[(-a, -b, low), (a, -b, low), (ridge_half, 0, top), (-ridge_half, 0, top)],
             [(a, b, low), (-a, b, low), (-ridge_half, 0, top), (ridge_half, 0, top)],
             [(a, -b, low), (a, b, low), (ridge_half, 0, top), (ridge_half, 0, top)],
             [(-a, b, low), (-a, -b, low), (-ridge_half, 0, top), (-ridge_half, 0, top)]]
    rim = _ring(a, b, low - 0.2, low)
    return join([quads(sides, Material.ROOF_TILE, house.roof_tint, traits=(slope_m, 0, 0, 0)),
                 quads(rim, Material.PLAIN, TRIM)])


def _spire_roof(house: House) -> Mesh:
    a, b = house.length_m / 2 + 0.3, house.depth_m / 2 + 0.3
    base = [(-a, -b), (a, -b), (a, b), (-a, b)]
    top = (0, 0, house.eaves_m + house.pitch * b)
    faces = [[(*base[i], house.eaves_m), (*base[(i + 1) % 4], house.eaves_m), top] for i in range(4)]
    rise = float(np.hypot(b, house.pitch * b))
    uv = [[(0, 0), (2 * a, 0), (a, rise)]] * 4
    return triangles(faces, Material.ROOF_TILE, house.roof_tint, uv, (rise, 0, 0, 0))


def _flat_roof(house: House) -> Mesh:
    a, b, top = house.length_m / 2, house.depth_m / 2, house.eaves_m
    deck = top - 0.45 if house.style != STYLE_SHED else top - 0.1
    inner_a, inner_b = a - 0.28, b - 0.28
    cap = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    rims = [[(*(cap[i] * (a, b)), top), (*(cap[j] * (a, b)), top), (*(cap[j] * (inner_a, inner_b)), top),
             (*(cap[i] * (inner_a, inner_b)), top)] for i, j in ((0, 1), (1, 2), (2, 3), (3, 0))]
    floor = [(*corner, deck) for corner in cap * (inner_a, inner_b)]
    rim = house.roof_tint if house.style == STYLE_SHED else TRIM
    return join([quads([floor], Material.ROOF_FLAT, house.roof_tint, traits=(2 * inner_a, 2 * inner_b, 0, 0)),
                 quads(rims, Material.PLAIN, rim), quads(_ring(inner_a, inner_b, deck, top), Material.PLAIN, rim)])


def _ring(a: float, b: float, low: float, high: float) -> list:
    foot = [(-a, -b), (a, -b), (a, b), (-a, b)]
    return [[(*start, low), (*end, low), (*end, high), (*start, high)]
            for start, end in zip(foot, foot[1:] + foot[:1], strict=True)]


def _overhang(house: House) -> float:
    return 0.2 if house.style == STYLE_SHED else 0.45


def _roof_height(house: House, y: float) -> float:
    """Of a pitched roof above a place beside the ridge."""
    return house.eaves_m + house.pitch * (house.depth_m / 2 - abs(y)) + 0.14


def _chimney(house: House, rng: np.random.Generator) -> Mesh:
    if house.roof is Roof.FLAT:
        return _plant(house, rng)
    x, y = rng.uniform(-0.3, 0.3) * house.length_m, rng.choice([-1, 1]) * rng.uniform(0.3, 0.9)
    top = house.eaves_m + house.pitch * house.depth_m / 2 + rng.uniform(0.5, 1.1)
    stack = box((x - 0.38, y - 0.3, house.eaves_m), (x + 0.38, y + 0.3, top), Material.PLAIN, (0.34, 0.15, 0.10))
    return join([stack, box((x - 0.46, y - 0.38, top), (x + 0.46, y + 0.38, top + 0.12), Material.PLAIN, METAL)])


def _dormer(house: House, rng: np.random.Generator) -> Mesh:
    """A small flat-topped house in the slope."""
    if house.roof is not Roof.GABLE or house.depth_m < 7:
        return NOTHING
    x, half = rng.uniform(-0.2, 0.2) * house.length_m, rng.uniform(0.9, 1.5)
    front = house.depth_m * 0.36
    low, top = _roof_height(house, front) - 0.4, _roof_height(house, front) + 1.35
    body = box((x - half, -front, low), (x + half, -0.4, top), Material.PLAIN, house.wall)
    pane = quads([[(x - half + 0.2, -front - 0.03, low + 0.6), (x + half - 0.2, -front - 0.03, low + 0.6),
                   (x + half - 0.2, -front - 0.03, top - 0.15), (x - half + 0.2, -front - 0.03, top - 0.15)]],
                 Material.GLASS, (0.05, 0.07, 0.09))
    lid = box((x - half - 0.2, -front - 0.25, top), (x + half + 0.2, -0.3, top + 0.12), Material.PLAIN, METAL)
    return join([body, pane, lid])


def _on_slope(house: House, x: tuple[float, float], y: tuple[float, float], lift_m: float) -> list:
    """A rectangle lying on the southern slope, or on a flat roof."""
    if house.roof is Roof.FLAT:
        z = [house.eaves_m + lift_m] * 2
    else:
        z = [_roof_height(house, value) + lift_m for value in y]
    return [(x[0], y[0], z[0]), (x[1], y[0], z[0]), (x[1], y[1], z[1]), (x[0], y[1], z[1])]


def _skylight(house: House, rng: np.random.Generator) -> Mesh:
    faces = []
    if house.roof is Roof.FLAT:
        for x in np.arange(-house.length_m / 2 + 3, house.length_m / 2 - 3, 4.2):
            y = -house.depth_m * 0.2
            faces += list(box_corners((x, y, house.eaves_m - 0.5), (x + 1.5, y + 1.5, house.eaves_m - 0.05))[BOX_SIDES])
    else:
        side, reach = rng.choice([-1, 1]), house.depth_m / 2
        for x in rng.uniform(-0.38, 0.3, 2) * house.length_m:
            faces.append(_on_slope(house, (x, x + 0.9), (side * reach * 0.62, side * reach * 0.42), 0.06))
    if not faces:
        return NOTHING
    return quads(faces, Material.GLASS, (0.10, 0.14, 0.18) if house.roof is Roof.FLAT else (0.04, 0.06, 0.08))


def _solar(house: House, rng: np.random.Generator) -> Mesh:
    half, reach = house.length_m * rng.uniform(0.2, 0.36), house.depth_m / 2
    rows = [(-reach * 0.8, -reach * 0.25)]
    if house.roof is Roof.FLAT:
        rows = [(y, y + 1.6) for y in np.arange(0.12 * house.depth_m, reach - 2.2, 2.4)]
    faces = [_on_slope(house, (-half, half), row, 0.12) for row in rows]
    if not faces:
        return NOTHING
    if house.roof is Roof.FLAT:  # tilted towards the sun
        faces = np.array(faces) + np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0.45], [0, 0, 0.45]]) - [0, 0, 0.3]
    return quads(faces, Material.SOLAR, (0.02, 0.03, 0.07))


def _plant(house: House, rng: np.random.Generator) -> Mesh:
    """Machines and a stair head on a flat roof."""
    if house.roof is not Roof.FLAT:
        return _chimney(house, rng)
    boxes = []
    for _ in range(max(1, round(house.length_m / 7))):
        x, y = rng.uniform(-0.4, 0.35) * house.length_m, rng.uniform(-0.4, 0.3) * house.depth_m
        size = rng.uniform((0.8, 0.7, 0.7), (2.0, 1.5, 1.5))
        low = np.array([x, y, house.eaves_m - 0.45])
        boxes.append(box(low, low + size, Material.PLAIN, np.array(METAL) * rng.uniform(0.7, 1.5)))
    return join(boxes)


ROOFS = {Roof.GABLE: _gable_roof, Roof.HIP: _hip_roof, Roof.SPIRE: _spire_roof, Roof.FLAT: _flat_roof}
EXTRAS = {"chimney": _chimney, "dormer": _dormer, "solar": _solar, "skylight": _skylight, "plant": _plant}
