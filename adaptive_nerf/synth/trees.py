"""Trees, bushes and hedges as triangles. A few shapes of each kind are made once; trees are copies of them."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import trimesh

from adaptive_nerf.synth.mesh import Material, Mesh, box, join, triangles
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.things import Hedge, Tree

SHAPES = 5
BARK = (0.085, 0.06, 0.042)
CHAR = (0.02, 0.018, 0.017)


def tree_mesh(tree: Tree) -> Mesh:
    shape = _burnt_shape(tree.salt % SHAPES) if tree.burnt else _shape(tree.kind, tree.salt % SHAPES)
    mesh = shape if tree.burnt else shape.tinted(tree.tint, Material.LEAVES)
    turn = (tree.salt * 2.399963) % (2 * np.pi)  # golden angle: neighbours never look alike
    return mesh.salted(tree.salt).placed((tree.x, tree.y, tree.ground_m), turn, tree.height_m)


@cache
def _shape(kind: str, number: int) -> Mesh:
    """A tree one metre high, at the origin."""
    rng = generator(number, f"tree shape {kind}")
    return {"broad": _broad, "tall": _tall, "conifer": _conifer, "bush": _bush,
            "field": _field}[kind](rng)


def _broad(rng: np.random.Generator) -> Mesh:
    clumps = [_clump(rng, _on_dome(rng, 0.30, 0.24, 0.60), rng.uniform(0.13, 0.20)) for _ in range(15)]
    return join([_trunk(0.45, 0.035), _clump(rng, (0, 0, 0.60), 0.30), *clumps])


def _tall(rng: np.random.Generator) -> Mesh:
    clumps = [_clump(rng, _on_dome(rng, 0.19, 0.30, 0.62), rng.uniform(0.10, 0.15)) for _ in range(12)]
    return join([_trunk(0.45, 0.025), _clump(rng, (0, 0, 0.62), 0.22), *clumps])


def _field(rng: np.random.Generator) -> Mesh:
    """Seen from far away only: a few clumps do."""
    clumps = [_clump(rng, _on_dome(rng, 0.28, 0.2, 0.55), rng.uniform(0.16, 0.24)) for _ in range(4)]
    return join([_trunk(0.4, 0.035), _clump(rng, (0, 0, 0.55), 0.28), *clumps])


def _bush(rng: np.random.Generator) -> Mesh:
    clumps = [_clump(rng, _on_dome(rng, 0.32, 0.25, 0.45), rng.uniform(0.20, 0.30)) for _ in range(6)]
    return join([_clump(rng, (0, 0, 0.4), 0.4), *clumps])


def _conifer(rng: np.random.Generator) -> Mesh:
    """A trunk in skirts of ragged branches."""
    skirts = []
    for level, height in enumerate(np.linspace(0.12, 0.86, 7)):
        radius, spikes = 0.24 * (1 - height) + 0.03, 16
        angle = np.linspace(0, 2 * np.pi, spikes + 1) + level * 0.7
        reach = radius * np.where(np.arange(spikes + 1) % 2, 1.0, 0.62)
        reach[:-1] *= rng.uniform(0.85, 1.1, spikes)
        reach[-1] = reach[0]
        rim = np.stack([np.cos(angle) * reach, np.sin(angle) * reach, np.full(spikes + 1, height)], -1)
        tip = np.broadcast_to([0, 0, height + 0.22], (spikes, 3))
        faces = np.stack([rim[:-1], rim[1:], tip], axis=1)
        skirts.append(_leaves(faces, np.stack([np.zeros((spikes, 3)), faces[:, :, 2] * 0 + [0.35, 0.35, 0.9]], -1)))
    return join([_trunk(0.3, 0.02), *skirts])


def _on_dome(rng: np.random.Generator, across: float, up: float, middle: float) -> npt.NDArray:
    """A place on the crown's outside, seldom on its underside."""
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    direction[2] = abs(direction[2]) if rng.random() < 0.75 else direction[2]
    return direction * [across, across, up] + [0, 0, middle]


def _clump(rng: np.random.Generator, centre: npt.ArrayLike, radius: float) -> Mesh:
    """A lumpy ball of leaves."""
    ball = trimesh.creation.icosphere(subdivisions=1)
    lumps = 1 + 0.22 * rng.uniform(-1, 1, len(ball.vertices))
    vertices = ball.vertices * lumps[:, None] * radius * [1, 1, 0.85] + np.asarray(centre)
    faces = vertices[ball.faces]
    lit = np.clip(0.5 + 0.5 * (ball.vertices[ball.faces][:, :, 2]), 0, 1)  # the underside of a clump is dark
    return _leaves(faces, np.stack([np.zeros_like(lit), lit], -1))


def _leaves(faces: npt.NDArray, uv: npt.NDArray) -> Mesh:
    return triangles(faces, Material.LEAVES, (0.1, 0.2, 0.05), uv)


def _trunk(height: float, radius: float) -> Mesh:
    return box((-radius, -radius, -0.08), (radius, radius, height), Material.PLAIN, BARK)


@cache
def _burnt_shape(number: int) -> Mesh:
    """A black trunk with a few bare branches."""
    rng = generator(number, "burnt tree")
    sticks = [box((-0.025, -0.025, -0.08), (0.025, 0.025, 0.8), Material.PLAIN, CHAR)]
    for _ in range(7):
        stick = box((0, -0.012, -0.012), (rng.uniform(0.15, 0.32), 0.012, 0.012), Material.PLAIN, CHAR)
        lean = rng.uniform(0.4, 1.1)
        cos, sin = np.cos(lean), np.sin(lean)
        tilted = triangles(stick.corners @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]), Material.PLAIN, CHAR)
        sticks.append(tilted.placed((0, 0, rng.uniform(0.3, 0.7)), rng.uniform(0, 2 * np.pi)))
    return join(sticks)


def hedge_mesh(hedge: Hedge) -> Mesh:
    """A hedge: short boxes of uneven height. A fence: one thin box."""
    along = np.array([hedge.x1 - hedge.x0, hedge.y1 - hedge.y0])
    length, heading = float(np.hypot(*along)), float(np.arctan2(along[1], along[0]))
    rng = generator(hedge.salt, "hedge")
    count = max(1, round(length / 1.1)) if hedge.kind == "hedge" else 1
    cuts, pieces = np.linspace(0, length, count + 1), []
    for start, end in pairwise(cuts):
        half, top = hedge.width_m / 2, hedge.height_m
        if hedge.kind == "hedge":
            half, top = half * rng.uniform(0.8, 1.15), top * rng.uniform(0.88, 1.08)
        piece = box((start, -half, -1.2), (end, half, top), Material.PLAIN, hedge.tint)
        if hedge.kind == "hedge":
            height = np.clip(piece.corners[:, :, 2] / top, 0, 1)
            piece = triangles(piece.corners, Material.LEAVES, hedge.tint, np.stack([height * 0, height], -1))
        pieces.append(piece)
    return join(pieces).salted(hedge.salt).placed((hedge.x0, hedge.y0, hedge.ground_m), heading)
