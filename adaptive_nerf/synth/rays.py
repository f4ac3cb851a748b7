"""Rays against a mesh with Embree, made exact: Embree finds the face, the distance is then computed in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from adaptive_nerf.synth.mesh import Mesh

FAR_M = 1e5
LIFT_M = 3e-3  # how far from a surface a shadow ray starts
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """The rays that hit, in the order of the rays. All arrays have one row for each hit."""

    ray: npt.NDArray[np.int64]  # which ray
    face: npt.NDArray[np.int32]
    distance_m: Array
    point: Array  # [n, 3]
    normal: Array  # [n, 3] unit, on the side that the ray came from
    weights: npt.NDArray[np.float32]  # [n, 3] of the face's corners

    def __len__(self) -> int:
        return len(self.ray)


class Caster:
    """Answers where rays meet the mesh. Not to be shared between threads while it is made."""

    def __init__(self, mesh: Mesh):
        self._scene = EmbreeScene()
        count = len(mesh)
        faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
        # Embree's scene refers to what this object holds.
        self._triangles = TriangleMesh(self._scene, np.ascontiguousarray(mesh.corners.reshape(-1, 3)), faces)
        corners = mesh.corners.astype(np.float64)
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        self._normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-30)
        self._offset = _dot(self._normal, corners[:, 0])

    def nearest(self, origins: Array, directions: Array, near_m: float = 0.0, far_m: float = np.inf) -> Hits:
        """Where unit rays [n, 3] first meet the mesh between two distances."""
        starts = origins + near_m * directions if near_m else origins
        # Copies: Embree refuses read-only arrays, as broadcast ones are.
        start32, toward32 = (np.array(each, np.float32, order="C") for each in (starts, directions))
        found = self._scene.run(start32, toward32, np.full(len(starts), min(far_m - near_m, FAR_M), np.float32),
                                query="INTERSECT", output=True)
        ray = np.flatnonzero(found["primID"] >= 0)
        face = found["primID"][ray]
        start, toward = (each if len(ray) == len(each) else each[ray] for each in (starts, directions))
        normal, about = self._normal.take(face, axis=0), found["tfar"][ray]
        # Embree's float32 distance is good to a tenth of a millimetre; the plane of the face tells the rest.
        slope = _dot(toward, normal)
        exact = (self._offset[face] - _dot(start, normal)) / np.where(np.abs(slope) < 1e-6, np.inf, slope)
        distance = np.where(np.abs(exact - about) < 0.05, exact, about)
        u, v = found["u"][ray], found["v"][ray]
        return Hits(ray, face, distance + near_m, start + toward * distance[:, None],
                    normal * np.where(slope > 0, -1.0, 1.0)[:, None], np.stack([1 - u - v, u, v], axis=-1))

    def blocked(self, points: Array, normals: Array, toward: Array, reach_m: npt.ArrayLike = FAR_M) -> npt.NDArray:
        """Whether something stands between points on the mesh [n, 3] and a direction [3] or directions [n, 3]."""
        starts = np.array(points + LIFT_M * normals, np.float32)
        directions = np.array(np.broadcast_to(toward, starts.shape), np.float32, order="C")
        limits = np.array(np.broadcast_to(reach_m, len(starts)), np.float32)
        return self._scene.run(starts, directions, limits, query="OCCLUDED") == 0


def _dot(first: Array, second: Array) -> Array:  # [n, 3], [n, 3] -> [n]
    return np.einsum("nk,nk->n", first, second)
