"""What really stands where somebody clicks in the town: roofs and streets, by casting rays at its mesh."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame, local_frame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.synth.land_use import Use
from adaptive_nerf.synth.mesh import Material
from adaptive_nerf.synth.town import REFERENCE, TownRequest, world

ROOFS = (Material.ROOF_TILE, Material.ROOF_FLAT)
STREETS = (Use.ROAD, Use.PAVEMENT, Use.KERB, Use.MARKING, Use.PARKING)


@dataclass(frozen=True)
class Truth:
    request: TownRequest
    scene_frame: SceneFrame

    @classmethod
    def of(cls, town: Path, scene_frame: SceneFrame) -> Truth:
        """The town is built again from what its own files say of it."""
        told = json.loads((town / "truth" / "metadata.json").read_text())
        flight, lens = told["flight"], told["intrinsics"]
        known = {"seed": told["seed"], "size_m": tuple(told["size_m"]), "event": told["event"],
                 "resolution": (lens["width"], lens["height"]), "altitude_m": flight["altitude_m"]}
        names = {field.name for field in fields(TownRequest)}
        return cls(TownRequest(**{name: value for name, value in known.items() if name in names}), scene_frame)

    def at(self, camera: Camera, pixels: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray]:
        """Places [n, 3] in the scene's ENU metres, NaN where nothing is; and which [n] lie on a roof or a street."""
        town, frame = world(self.request, False), local_frame(REFERENCE)
        here = camera.in_frame(FrameName.ECEF, self.scene_frame).in_frame(FrameName.ENU, frame)
        rays = camera_rays(here, pixels)
        hits = town.caster.nearest(rays.origins, rays.directions)
        places, wanted = np.full((len(pixels), 3), np.nan), np.zeros(len(pixels), bool)
        ecef = frame.convert(FrameName.ENU, FrameName.ECEF).points(hits.point)
        places[hits.ray] = self.scene_frame.convert(FrameName.ECEF, FrameName.ENU).points(ecef)
        material = town.mesh.material[hits.face]
        land = np.full(len(hits), -1) if town.layout is None else \
            town.layout.land_use.at(hits.point[:, 0], hits.point[:, 1])
        wanted[hits.ray] = np.isin(material, ROOFS) | ((material == Material.GROUND) & np.isin(land, STREETS))
        return places, wanted
