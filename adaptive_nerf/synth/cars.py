"""Cars as triangles: a body, a cabin with windows, wheels. Made once for each kind, then copied and painted."""

from __future__ import annotations

from functools import cache

from adaptive_nerf.synth.mesh import BOX_SIDES, Material, Mesh, box, box_corners, join, quads
from adaptive_nerf.synth.things import Car

GLASS = (0.02, 0.025, 0.03)
TYRE = (0.015, 0.015, 0.016)
# length, width, body height, cabin: start, end along the length at its foot, height, slant of front and back
SIZES = {"saloon": (4.6, 1.82, 0.92, (-1.55, 1.15), 0.52, (0.75, 0.55)),
         "hatch": (4.0, 1.76, 0.95, (-1.85, 0.95), 0.58, (0.7, 0.25)),
         "van": (5.1, 1.98, 1.15, (-2.5, 1.5), 1.0, (0.55, 0.05))}


def car_mesh(car: Car) -> Mesh:
    mesh = _shape(car.kind).tinted(car.tint, Material.CAR_PAINT).salted(car.salt)
    return mesh.placed((car.x, car.y, car.ground_m), car.heading_rad)


@cache
def _shape(kind: str) -> Mesh:
    """A car at the origin that heads along x."""
    length, width, body, (back, front), cabin, (front_slant, back_slant) = SIZES[kind]
    a, b = length / 2, width / 2
    paint = (0.5, 0.5, 0.5)
    hull = box_corners((-a, -b, 0.32), (a, b, body))
    hull[[0, 2, 4, 6], 0] += [0.12, 0.12, 0.0, 0.0]
    hull[4:, 1] *= 0.94
    house = box_corners((back, -b * 0.9, body), (front, b * 0.9, body + cabin))
    house[[5, 7], 0] -= front_slant
    house[[4, 6], 0] += back_slant
    house[4:, 1] *= 0.86
    sides = house[BOX_SIDES]
    windows = [1] if kind == "van" else [0, 1, 2, 3]
    plain = [side for side in range(5) if side not in windows]  # without the floor
    parts = [quads(hull[BOX_SIDES], Material.CAR_PAINT, paint), quads(sides[plain], Material.CAR_PAINT, paint),
             quads(sides[windows], Material.GLASS, GLASS)]
    for x in (-a * 0.62, a * 0.62):
        for y in (-b, b):
            parts.append(box((x - 0.32, y - 0.12, 0), (x + 0.32, y + 0.08, 0.62), Material.PLAIN, TYRE))
    parts.append(box((a - 0.02, -b * 0.85, 0.55), (a + 0.02, b * 0.85, 0.75), Material.PLAIN, (0.5, 0.5, 0.5)))
    return join(parts)


