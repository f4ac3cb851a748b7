"""WGS84: latitude and longitude in degrees, ellipsoidal height in metres <-> ECEF metres <-> local ENU metres.

Arrays of points carry (latitude, longitude, height) or (x, y, z) in their last axis, float64.
"""

import numpy as np

from adaptive_nerf.geometry.similarity import Similarity
from adaptive_nerf.geometry.types import Array

SEMI_MAJOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)


def ecef_from_geodetic(lat_lon_height: Array) -> Array:  # [..., 3] -> [..., 3]
    lat_lon_height = np.asarray(lat_lon_height, np.float64)
    lat, lon = np.radians(lat_lon_height[..., 0]), np.radians(lat_lon_height[..., 1])
    height_m = lat_lon_height[..., 2]
    normal_m = _prime_vertical_radius_m(np.sin(lat))
    ring_m = (normal_m + height_m) * np.cos(lat)
    z_m = (normal_m * (1 - ECCENTRICITY_SQUARED) + height_m) * np.sin(lat)
    return np.stack([ring_m * np.cos(lon), ring_m * np.sin(lon), z_m], axis=-1)


def geodetic_from_ecef(ecef_m: Array) -> Array:  # [..., 3] -> [..., 3]
    """Fixed-point iteration on the latitude; five rounds reach 1e-12 rad from the sea floor to orbit."""
    ecef_m = np.asarray(ecef_m, np.float64)
    x, y, z = ecef_m[..., 0], ecef_m[..., 1], ecef_m[..., 2]
    ring_m = np.hypot(x, y)
    lat = np.arctan2(z, ring_m * (1 - ECCENTRICITY_SQUARED))
    for _ in range(5):
        sin = np.sin(lat)
        lat = np.arctan2(z + ECCENTRICITY_SQUARED * _prime_vertical_radius_m(sin) * sin, ring_m)
    sin, cos = np.sin(lat), np.cos(lat)
    # This form of the height has no division by cos(lat), so it holds at the poles.
    height_m = ring_m * cos + z * sin - SEMI_MAJOR_M * np.sqrt(1 - ECCENTRICITY_SQUARED * sin**2)
    return np.stack([np.degrees(lat), np.degrees(np.arctan2(y, x)), height_m], axis=-1)


def enu_axes_in_ecef(lat_deg: float, lon_deg: float) -> Array:
    """Rows East, North, Up: the rotation from ECEF to ENU. [3, 3]"""
    lat, lon = np.radians(lat_deg), np.radians(lon_deg)
    sin_lat, cos_lat, sin_lon, cos_lon = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    return np.array([
        [-sin_lon, cos_lon, 0.0],
        [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
        [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
    ])


def ecef_from_enu_at(lat_lon_height: Array) -> Similarity:
    """The map from ENU metres at a reference point to ECEF metres."""
    lat_deg, lon_deg, _ = np.asarray(lat_lon_height, np.float64)
    return Similarity(1.0, enu_axes_in_ecef(lat_deg, lon_deg).T, ecef_from_geodetic(lat_lon_height))


def _prime_vertical_radius_m(sin_lat: Array) -> Array:
    return np.asarray(SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY_SQUARED * sin_lat**2), np.float64)
