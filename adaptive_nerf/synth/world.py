"""A layout built: one mesh to cast rays at, and the light that falls on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adaptive_nerf.synth.cars import car_mesh
from adaptive_nerf.synth.ground import ground_mesh, water_mesh
from adaptive_nerf.synth.layout import Layout, make_layout
from adaptive_nerf.synth.light import SkyLight, measure_sky
from adaptive_nerf.synth.mesh import Mesh, join
from adaptive_nerf.synth.noise import FractalTile, make_tile
from adaptive_nerf.synth.rays import Caster
from adaptive_nerf.synth.rubble import any_house_mesh
from adaptive_nerf.synth.things import Car, Hedge, House, Thing, Tree
from adaptive_nerf.synth.trees import hedge_mesh, tree_mesh


@dataclass(frozen=True)
class World:
    mesh: Mesh
    caster: Caster
    sky: SkyLight
    noise: FractalTile
    layout: Layout | None = None  # None for a bare mesh


def thing_mesh(thing: Thing) -> Mesh:
    match thing:
        case House():
            return any_house_mesh(thing)
        case Tree():
            return tree_mesh(thing)
        case Hedge():
            return hedge_mesh(thing)
        case Car():
            return car_mesh(thing)


def build_world(layout: Layout) -> World:
    meshes = [ground_mesh(layout)] + [thing_mesh(thing) for thing in layout.things]
    if layout.water_m is not None:
        meshes.append(water_mesh(layout, layout.water_m))
    return replace(world_of(join(meshes), layout.seed, layout.size_m), layout=layout)


def build_town(seed: int, size_m: tuple[float, float]) -> World:
    return build_world(make_layout(seed, size_m))


def world_of(mesh: Mesh, seed: int = 0, size_m: tuple[float, float] = (100.0, 100.0)) -> World:
    """Any mesh under the same sun."""
    caster = Caster(mesh)
    return World(mesh, caster, measure_sky(caster, size_m), make_tile(seed))
