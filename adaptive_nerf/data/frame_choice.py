"""The frame of a new scene, chosen from its cameras and points: reference, origin, scale, altitude range.

Everything is float64 until it is stored. What is stored as float32 is rounded before it is used, so that poses are told
in exactly the frame that readers will find on the disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adaptive_nerf.common.errors import BadInput, BadUsage
from adaptive_nerf.data.colmap import first_few
from adaptive_nerf.geometry.frames import DRB_FROM_ENU, FrameName, SceneFrame, local_frame
from adaptive_nerf.geometry.geodesy import ecef_from_geodetic, geodetic_from_ecef
from adaptive_nerf.geometry.types import Array, BoolArray

ScaleStrategy = Literal["camera_max", "camera_p99", "bbox_diag"]
EnuRef = Literal["first", "mean", "median", "custom"]
Geodetic = tuple[float, float, float]  # latitude deg, longitude deg, ellipsoidal height m

EARTH_RADIUS_M, NEAR_EARTH_M = 6_371_000.0, 100_000.0
FLIGHT_HEIGHT_M = (-1_000.0, 20_000.0)
EQUATOR_DEG = 1.0  # an ECEF position so near to the equator may as well be a UTM easting and northing
CLOSE_TOGETHER_M = 1e-6
STRAY_M = 3.0  # so little below the ground that is taken, points are no reason to say anything
NOT_ECEF_REMEDY = ("leave out --ecef_to_enu for a model in local coordinates, or align it to GPS first "
                   "(colmap model_aligner)")
NOT_UPRIGHT_REMEDY = ("turn it first: colmap model_aligner --input_path MODEL --output_path TURNED "
                      "--alignment_type plane --alignment_max_error 1")


@dataclass(frozen=True)
class FrameSettings:
    ecef_to_enu: bool = False
    enu_ref: EnuRef = "median"
    custom_reference: Geodetic | None = None
    scale_strategy: ScaleStrategy = "camera_max"
    metres_per_unit: float = 1.0  # of a model without geo-reference
    points_low_alt_percentile: float = 0.01  # a share: 0.01 is the lowest hundredth
    maximum_allowed_height_m: float = 200.0


def choose_frame(centres: Array, points: Array, names: list[str], settings: FrameSettings,
                 warnings: list[str]) -> SceneFrame:
    """From camera centres [n, 3] (in the order of their names) and points [m, 3], both in the model's own frame."""
    reference = None
    if settings.ecef_to_enu:
        require_ecef(centres, names)
        reference = _reference(centres, settings)
    else:
        require_local(centres, warnings)
    to_enu = model_to_enu(reference, settings.metres_per_unit)
    centres_enu, points_enu = to_enu(centres), to_enu(points)
    altitude_range = _altitude_range(centres_enu[:, 2], points_enu[:, 2], settings, warnings)
    centres_drb = centres_enu @ DRB_FROM_ENU.T
    origin = _stored((centres_drb.min(0) + centres_drb.max(0)) / 2)
    scale_m = _scale(centres_drb - origin, settings.scale_strategy)
    if scale_m < CLOSE_TOGETHER_M:
        scale_m = max(altitude_range[1] - altitude_range[0], 1.0)
        warnings.append(f"all cameras stand at one place; a scene unit is {scale_m:g} m, their height above the points")
    return SceneFrame((origin[0], origin[1], origin[2]), scale_m, reference, altitude_range)


def model_to_enu(reference: Geodetic | None, metres_per_unit: float) -> Callable[[Array], Array]:
    """Points of the model [n, 3] -> ENU metres [n, 3]."""
    if reference is None:
        return lambda points: points * metres_per_unit
    return local_frame(reference).convert(FrameName.ECEF, FrameName.ENU).points


def scene_pose(frame: SceneFrame, c2w_model: Array, metres_per_unit: float) -> Array:
    """A pose [3, 4] of the model -> scene units."""
    if frame.is_georeferenced:
        return frame.convert(FrameName.ECEF, FrameName.SCENE).pose(c2w_model)
    c2w_enu = np.concatenate([c2w_model[:, :3], c2w_model[:, 3:] * metres_per_unit], axis=1)
    return frame.convert(FrameName.ENU, FrameName.SCENE).pose(c2w_enu)


def require_ecef(centres: Array, names: list[str], remedy: str = NOT_ECEF_REMEDY) -> None:
    distance_m = np.linalg.norm(centres, axis=1)
    off = np.abs(distance_m - EARTH_RADIUS_M) > NEAR_EARTH_M
    if off.all():
        raise BadInput(f"the camera positions are not ECEF: they are {distance_m.min():.0f} to {distance_m.max():.0f} "
                       f"m from the centre of the Earth, not about {EARTH_RADIUS_M:.0f}; {remedy}")
    if off.any():
        raise BadInput(f"{int(off.sum())} cameras are not near the Earth's surface: "
                       f"{first_few([names[index] for index in np.flatnonzero(off)])}; take them out of the model")


def require_local(centres: Array, warnings: list[str], remedy: str = "add --ecef_to_enu") -> None:
    """Poses in ECEF must not be taken for local ones: up would point anywhere."""
    if not _looks_like_ecef(centres).all():
        return
    latitudes = geodetic_from_ecef(centres)[:, 0]
    if np.abs(latitudes).max() < EQUATOR_DEG:
        warnings.append(f"the camera positions could be ECEF at the equator; if they are, {remedy}")
        return
    raise BadInput(f"the camera positions look like ECEF (about {latitudes[0]:.3f} deg latitude); {remedy}")


def _looks_like_ecef(centres: Array) -> BoolArray:  # [n, 3] -> [n]
    near_earth = np.abs(np.linalg.norm(centres, axis=1) - EARTH_RADIUS_M) < NEAR_EARTH_M
    height_m = geodetic_from_ecef(np.where(near_earth[:, None], centres, EARTH_RADIUS_M))[:, 2]
    return np.asarray(near_earth & (height_m > FLIGHT_HEIGHT_M[0]) & (height_m < FLIGHT_HEIGHT_M[1]))


def _reference(centres_ecef: Array, settings: FrameSettings) -> Geodetic:
    if settings.enu_ref == "custom":
        return _custom_reference(settings.custom_reference, centres_ecef)
    match settings.enu_ref:
        case "first":
            ecef = centres_ecef[0]
        case "mean":
            ecef = centres_ecef.mean(0)
        case "median":
            ecef = np.median(centres_ecef, axis=0)
    lat_deg, lon_deg, height_m = (float(number) for number in geodetic_from_ecef(ecef))
    return lat_deg, lon_deg, height_m


def _custom_reference(reference: Geodetic | None, centres_ecef: Array) -> Geodetic:
    if reference is None:
        raise BadUsage("--enu_ref custom needs --enu_ref_lat, --enu_ref_lon and --enu_ref_alt")
    lat_deg, lon_deg, _ = reference
    if not (np.isfinite(reference).all() and abs(lat_deg) <= 90 and abs(lon_deg) <= 180):
        raise BadUsage(f"the custom reference {lat_deg:g}, {lon_deg:g} is no latitude (-90 to 90) and "
                       f"longitude (-180 to 180)")
    away_m = np.linalg.norm(centres_ecef - ecef_from_geodetic(np.array(reference)), axis=1).min()
    if away_m > NEAR_EARTH_M:
        raise BadUsage(f"the custom reference {lat_deg:g}, {lon_deg:g} is {away_m / 1000:.0f} km from the nearest "
                       f"camera; are latitude and longitude exchanged?")
    return reference


def _altitude_range(cameras_up: Array, points_up: Array, settings: FrameSettings,
                    warnings: list[str]) -> tuple[float, float]:
    highest_m = float(cameras_up.max())
    lowest_m = float(cameras_up.min()) - settings.maximum_allowed_height_m
    if len(points_up) == 0:
        warnings.append(f"the model has no points; the ground is taken {settings.maximum_allowed_height_m:g} m below "
                        f"the lowest camera")
    else:
        points_m = float(np.quantile(points_up, settings.points_low_alt_percentile))
        if points_m < lowest_m - STRAY_M:
            below_m = float(cameras_up.min()) - points_m
            warnings.append(f"the lowest points lie {below_m:.0f} m below the lowest camera, the ground is taken "
                            f"{settings.maximum_allowed_height_m:g} m below it; if they are no strays, add "
                            f"--maximum_allowed_height {10 * math.floor(below_m / 10) + 10}")
        lowest_m = max(lowest_m, points_m)
    if lowest_m > highest_m:
        raise BadInput(f"the lowest points lie {lowest_m - highest_m:.1f} m above the highest camera, so the model's "
                       f"+Z is not up; {NOT_UPRIGHT_REMEDY}")
    lowest_m, highest_m = _stored(np.array([lowest_m, highest_m]))
    return float(lowest_m), float(highest_m)


def _scale(from_origin: Array, strategy: ScaleStrategy) -> float:  # [n, 3] metres
    distance_m = np.linalg.norm(from_origin, axis=1)
    match strategy:
        case "camera_max":
            return float(distance_m.max())
        case "camera_p99":
            return float(np.quantile(distance_m, 0.99))
        case "bbox_diag":
            return float(np.linalg.norm(np.ptp(from_origin, axis=0)) / 2)


def _stored(numbers: Array) -> Array:
    """As coordinates.pt will give them back."""
    return numbers.astype(np.float32).astype(np.float64)
