"""What is left of a house that fell: a mound with slabs, beams and stumps of walls. Or a burnt-out shell."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from adaptive_nerf.synth.houses import house_mesh
from adaptive_nerf.synth.mesh import Material, Mesh, box, join, quads, triangles
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.things import House, HouseState, Roof

DUST = (0.36, 0.33, 0.29)
CHAR = (0.025, 0.022, 0.02)
STEPS = 13


def any_house_mesh(house: House) -> Mesh:
    """A house in whichever state it is."""
    if house.state is HouseState.STANDING:
        return house_mesh(house)
    burnt = house.state is HouseState.BURNT_OUT
    heap = _heap(replace(house, wall=CHAR, roof_tint=(0.05, 0.045, 0.04)) if burnt else house)
    return heap.salted(house.salt).placed((house.x, house.y, house.ground_m), house.heading_rad)


def _heap(house: House) -> Mesh:
    rng = generator(house.salt, "rubble")
    # A flat house falls higher: it has more floors in it than its eaves tell.
    peak = 0.30 * house.eaves_m + (0.5 if house.roof is Roof.FLAT else 0.9)
    return join([_mound(house, peak, rng), _slabs(house, peak, rng), _stumps(house, rng)])


def _mound(house: House, peak: float, rng: np.random.Generator) -> Mesh:
    a, b = house.length_m / 2 + 1.4, house.depth_m / 2 + 1.4
    s, t = np.meshgrid(np.linspace(-1, 1, STEPS), np.linspace(-1, 1, STEPS), indexing="ij")
    edge = np.clip(1 - np.maximum(np.abs(s), np.abs(t)), 0, 1)
    height = peak * np.minimum(edge * 2.2, 1) * rng.uniform(0.45, 1.1, s.shape) - 0.35
    jitter = rng.uniform(-0.5, 0.5, (2, STEPS, STEPS)) * np.minimum(edge * 4, 1)
    points = np.stack([s * a + jitter[0], t * b + jitter[1], height], -1)
    c00, c10, c11, c01 = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    corners = np.stack([c00, c10, c11, c00, c11, c01], axis=2).reshape(-1, 3, 3)
    blend = rng.uniform(0, 1, (len(corners), 1))
    tint = np.asarray(DUST) * 0.8 * (1 - blend) + np.asarray(house.wall) * 0.45 * blend
    return triangles(corners, Material.RUBBLE, tint * _dark(house))


def _dark(house: House) -> float:
    return 0.12 if house.state is HouseState.BURNT_OUT else 1.0


def _slabs(house: House, peak: float, rng: np.random.Generator) -> Mesh:
    """Broken pieces of wall, roof and beams, tilted every way."""
    count = round(house.length_m * house.depth_m * 0.9)
    size = rng.uniform((0.4, 0.3, 0.1), (2.4, 1.4, 0.3), (count, 3)) * rng.uniform(0.4, 1, (count, 1))
    size[: count // 5] = rng.uniform((1.8, 0.12, 0.12), (4.0, 0.22, 0.22), (count // 5, 3))
    x = rng.uniform(-0.5, 0.5, count) * (house.length_m + 2.4)
    y = rng.uniform(-0.5, 0.5, count) * (house.depth_m + 2.4)
    inside = 1 - np.maximum(np.abs(x) / (house.length_m / 2 + 1.4), np.abs(y) / (house.depth_m / 2 + 1.4))
    z = peak * np.clip(inside * 2, 0, 1) * rng.uniform(0.4, 0.9, count) + 0.1
    tints = np.array([house.wall, house.roof_tint, house.roof_tint, DUST, (0.22, 0.15, 0.09)]) * _dark(house)
    chosen = tints[rng.integers(0, len(tints), count)] * rng.uniform(0.35, 0.95, (count, 1))
    unit = box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), Material.RUBBLE, DUST).corners  # [12, 3, 3]
    turned = np.einsum("nij,fcj,nj->nfci", _turns(rng, count), unit, size)
    corners = turned + np.stack([x, y, z], -1)[:, None, None]
    return triangles(corners.reshape(-1, 3, 3), Material.RUBBLE, np.repeat(chosen, len(unit), axis=0))


def _turns(rng: np.random.Generator, count: int) -> np.ndarray:
    """Rotations: any heading, then a tilt about a level axis. [n, 3, 3]"""
    heading, tilt = rng.uniform(0, 2 * np.pi, count), rng.normal(0, 0.45, count)
    cos, sin, one, zero = np.cos(heading), np.sin(heading), np.ones(count), np.zeros(count)
    turn = np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).reshape(-1, 3, 3)
    lean = np.stack([np.cos(tilt), zero, np.sin(tilt), zero, one, zero, -np.sin(tilt), zero, np.cos(tilt)], -1)
    return turn @ lean.reshape(-1, 3, 3)


def _stumps(house: House, rng: np.random.Generator) -> Mesh:
    """Ragged pieces of the outer walls that still stand, one storey at most."""
    a, b = house.length_m / 2, house.depth_m / 2
    foot = np.array([(-a, -b), (a, -b), (a, b), (-a, b), (-a, -b)])
    faces = []
    for start, end in pairwise(foot):
        steps = max(2, round(float(np.hypot(*(end - start))) / 1.2))
        heights = np.where(rng.random(steps + 1) < 0.45, rng.uniform(0.9, 2.6, steps + 1), 0.2)
        for step in range(steps):
            p, q = start + (end - start) * step / steps, start + (end - start) * (step + 1) / steps
            faces.append([(*p, -0.5), (*q, -0.5), (*q, heights[step + 1]), (*p, heights[step])])
    return quads(faces, Material.RUBBLE, np.asarray(house.wall) * 0.8 * (0.5 if _dark(house) < 1 else 1))
