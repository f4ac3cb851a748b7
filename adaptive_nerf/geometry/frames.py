"""The named frames, and the one object that converts between them. THE place for axis conventions.

World frames (right-handed):
  ecef    metres, earth-centred
  enu     metres; x East, y North, z Up, from the scene's reference point (or the model's own origin and +Z)
  drb     metres; x Down = -Up, y Right = East, z Back = -North (South), same origin as enu
  scene   drb less the scene's origin, divided by `metres_per_unit`: what the files on disk hold
  viewer  enu axes from the scene's origin, VIEWER_UNITS for one scene unit: the cameras span about 100 units
Geodetic coordinates (latitude, longitude, height) are no Cartesian frame: see `SceneFrame.geodetic_from`.

Camera axes:
  rub     x right, y up, z back (OpenGL): ours, in memory and on disk
  rdf     x right, y down, z forward (COLMAP, OpenCV)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from adaptive_nerf.common.errors import BadInput, NotGeoreferenced
from adaptive_nerf.geometry.geodesy import ecef_from_enu_at, geodetic_from_ecef
from adaptive_nerf.geometry.similarity import Similarity
from adaptive_nerf.geometry.types import Array

FORMAT_VERSION = 1  # of a frame as JSON
VIEWER_UNITS = 50.0
DRB_FROM_ENU = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
RUB_FROM_RDF = np.diag([1.0, -1.0, -1.0])  # its own inverse


class FrameName(StrEnum):
    ECEF = "ecef"
    ENU = "enu"
    DRB = "drb"
    SCENE = "scene"
    VIEWER = "viewer"


@dataclass(frozen=True)
class SceneFrame:
    """Turns scene units <-> local ENU metres <-> ECEF <-> latitude, longitude, height."""

    origin_drb_m: tuple[float, float, float]
    metres_per_unit: float
    enu_reference: tuple[float, float, float] | None  # latitude deg, longitude deg, ellipsoidal height m
    altitude_range_enu_m: tuple[float, float]  # lowest point, highest camera

    @property
    def is_georeferenced(self) -> bool:
        return self.enu_reference is not None

    def convert(self, source: FrameName, target: FrameName) -> Similarity:
        """The map from one frame to another."""
        return self._from_enu(target).after(self._from_enu(source).inverse())

    def _from_enu(self, frame: FrameName) -> Similarity:
        to_drb = Similarity(rotation=DRB_FROM_ENU)
        to_origin = Similarity(translation=-np.asarray(self.origin_drb_m))
        match frame:
            case FrameName.ENU:
                return Similarity()
            case FrameName.DRB:
                return to_drb
            case FrameName.SCENE:
                return Similarity(scale=1 / self.metres_per_unit).after(to_origin).after(to_drb)
            case FrameName.VIEWER:
                viewer_from_scene = Similarity(scale=VIEWER_UNITS, rotation=DRB_FROM_ENU.T)
                return viewer_from_scene.after(self._from_enu(FrameName.SCENE))
            case FrameName.ECEF:
                return ecef_from_enu_at(np.asarray(self._reference()))

    def units_to_metres(self, frame: FrameName) -> float:
        """Metres in one unit of a frame."""
        return 1 / self._from_enu(frame).scale if frame is not FrameName.ECEF else 1.0

    def geodetic_from(self, source: FrameName, points: Array) -> Array:
        """Latitude deg, longitude deg, ellipsoidal height m of points [..., 3]."""
        return geodetic_from_ecef(self.convert(source, FrameName.ECEF).points(points))

    def _reference(self) -> tuple[float, float, float]:
        if self.enu_reference is None:
            raise NotGeoreferenced("this scene has no geo-reference: positions are metres in its own local frame, "
                                   "not latitude and longitude; prepare it with --ecef_to_enu to have them")
        return self.enu_reference

    def describe(self) -> str:
        if self.enu_reference is None:
            return "not georeferenced: local metres, up is the model's +Z, no latitude and longitude"
        lat_deg, lon_deg, height_m = self.enu_reference
        return f"georeferenced: local ENU metres at {lat_deg:.7f} deg, {lon_deg:.7f} deg, {height_m:.2f} m (WGS84)"

    def to_json(self) -> dict[str, Any]:
        return {"format_version": FORMAT_VERSION, "origin_drb_m": list(self.origin_drb_m),
                "metres_per_unit": self.metres_per_unit,
                "enu_reference": list(self.enu_reference) if self.enu_reference else None,
                "altitude_range_enu_m": list(self.altitude_range_enu_m)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> SceneFrame:
        version = value.get("format_version", FORMAT_VERSION)
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise BadInput(f"the scene's frame has format_version {version!r}, newer than this program; "
                           f"expected {FORMAT_VERSION} or less")
        reference = value["enu_reference"]
        origin, altitude = value["origin_drb_m"], value["altitude_range_enu_m"]
        return SceneFrame((origin[0], origin[1], origin[2]), value["metres_per_unit"],
                          (reference[0], reference[1], reference[2]) if reference else None,
                          (altitude[0], altitude[1]))


def local_frame(enu_reference: tuple[float, float, float] | None = None) -> SceneFrame:
    """A frame in which scene units are metres from the ENU origin: for meshes and tests."""
    return SceneFrame((0.0, 0.0, 0.0), 1.0, enu_reference, (0.0, 0.0))


def c2w_from_colmap(world_to_camera: Array) -> Array:
    """COLMAP's world-to-camera [..., 3, 4] with RDF axes -> camera-to-world [..., 3, 4] with RUB axes, same world."""
    world_to_camera = np.asarray(world_to_camera, np.float64)
    rotation, translation = world_to_camera[..., :3], world_to_camera[..., 3]
    back = np.swapaxes(rotation, -1, -2)
    centre = -(back @ translation[..., None])
    return np.concatenate([back @ RUB_FROM_RDF, centre], axis=-1)


def colmap_from_c2w(c2w: Array) -> Array:
    """The inverse of c2w_from_colmap."""
    c2w = np.asarray(c2w, np.float64)
    rotation = RUB_FROM_RDF @ np.swapaxes(c2w[..., :3], -1, -2)
    translation = -(rotation @ c2w[..., 3:])
    return np.concatenate([rotation, translation], axis=-1)
