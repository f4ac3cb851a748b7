"""A triangle soup that knows what each face is made of.

Besides its corners, a face carries a material, texture coordinates in metres at its corners, a tint (linear
albedo), four traits whose meaning the material decides, and a salt that makes it differ from its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Material(IntEnum):
    GROUND = 0  # uv: layout metres
    WALL = 1  # uv: along the wall, above the floor; traits: wall width, eaves height, style, has a door
    ROOF_TILE = 2  # uv: along the ridge, up the slope; traits: slope length
    ROOF_FLAT = 3  # uv: metres
    LEAVES = 4  # uv: unused, height within the crown 0 to 1
    PLAIN = 5  # bark, chimneys, metal: the tint and some wear
    CAR_PAINT = 6
    GLASS = 7
    RUBBLE = 8
    WATER = 9
    SOLAR = 10  # uv: metres on the panel


@dataclass(frozen=True)
class Mesh:
    corners: npt.NDArray[np.float32]  # [n, 3, 3] metres
    material: npt.NDArray[np.uint8]  # [n]
    uv: npt.NDArray[np.float32]  # [n, 3, 2]
    tint: npt.NDArray[np.float32]  # [n, 3] linear albedo
    traits: npt.NDArray[np.float32]  # [n, 4]
    salt: npt.NDArray[np.int32]  # [n]

    def __len__(self) -> int:
        return len(self.corners)

    def placed(self, position: npt.ArrayLike, heading_rad: float = 0.0, scale: npt.ArrayLike = 1.0) -> Mesh:
        """Scaled, turned about the vertical (counter-clockwise from East), then moved."""
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        return replace(self, corners=(self.corners * np.asarray(scale) @ turn + position).astype(np.float32))

    def tinted(self, tint: npt.ArrayLike, material: Material | None = None) -> Mesh:
        """Another tint for all faces, or for those of one material."""
        chosen = np.ones(len(self), bool) if material is None else self.material == material
        return replace(self, tint=np.where(chosen[:, None], np.asarray(tint, np.float32), self.tint))

    def salted(self, salt: int) -> Mesh:
        return replace(self, salt=np.full(len(self), salt, np.int32))

    def bounds(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        points = self.corners.reshape(-1, 3).astype(np.float64)
        return points.min(0), points.max(0)


def join(meshes: list[Mesh]) -> Mesh:
    # Contiguous, whatever the parts were: picking rows of anything else copies the whole array first.
    return Mesh(*(np.ascontiguousarray(np.concatenate([getattr(mesh, field.name) for mesh in meshes]))
                  for field in fields(Mesh)))


def triangles(corners: npt.ArrayLike, material: Material, tint: npt.ArrayLike, uv: npt.ArrayLike | None = None,
              traits: npt.ArrayLike = (0, 0, 0, 0), salt: npt.ArrayLike = 0) -> Mesh:
    """Faces from corners [n, 3, 3]; tint, traits and salt may be given once or for each face."""
    corners = np.asarray(corners, np.float32)
    count = len(corners)
    uv = corners[:, :, :2] if uv is None else np.asarray(uv, np.float32)
    return Mesh(corners, np.full(count, material, np.uint8), uv,
                np.broadcast_to(np.asarray(tint, np.float32), (count, 3)),
                np.broadcast_to(np.asarray(traits, np.float32), (count, 4)),
                np.broadcast_to(np.asarray(salt, np.int32), (count,)))


NOTHING = triangles(np.empty((0, 3, 3)), Material.PLAIN, (0, 0, 0))


def quads(corners: npt.ArrayLike, material: Material, tint: npt.ArrayLike, uv: npt.ArrayLike | None = None,
          traits: npt.ArrayLike = (0, 0, 0, 0), salt: npt.ArrayLike = 0) -> Mesh:
    """Four-cornered faces [n, 4, 3], corners in order around; uv [n, 4, 2], by default metres along the first side."""
    corners = np.asarray(corners, np.float64)
    uv = _metres_on(corners) if uv is None else np.asarray(uv)
    halves = [[0, 1, 2], [0, 2, 3]]
    return triangles(corners[:, halves].reshape(-1, 3, 3), material, _twice(tint, 2), uv[:, halves].reshape(-1, 3, 2),
                     _twice(traits, 2), _twice(salt, 1))


def _twice(value: npt.ArrayLike, given_per_face: int) -> npt.NDArray:
    """Both halves of a quad get what the quad has."""
    value = np.asarray(value)
    return np.repeat(value, 2, axis=0) if value.ndim == given_per_face else value


def _metres_on(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:  # [n, 4, 3] -> [n, 4, 2]
    along = corners[:, 1] - corners[:, 0]
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    up = corners[:, 3] - corners[:, 0]
    up = up - along * (up * along).sum(-1, keepdims=True)
    up = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-9)
    offset = corners - corners[:, :1]
    return np.stack([(offset * along[:, None]).sum(-1), (offset * up[:, None]).sum(-1)], axis=-1)


BOX_SIDES = np.array([[0, 1, 5, 4], [1, 3, 7, 5], [3, 2, 6, 7], [2, 0, 4, 6], [4, 5, 7, 6], [0, 2, 3, 1]])


def box_corners(low: npt.ArrayLike, high: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The eight corners of a box, x fastest. [8, 3]"""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    picks = np.array([[bit & 1, bit >> 1 & 1, bit >> 2 & 1] for bit in range(8)])
    return np.where(picks, high, low)


def box(low: npt.ArrayLike, high: npt.ArrayLike, material: Material, tint: npt.ArrayLike, salt: int = 0) -> Mesh:
    """A closed box: four sides, the top, the bottom."""
    return quads(box_corners(low, high)[BOX_SIDES], material, tint, salt=salt)
