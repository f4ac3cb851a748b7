"""Everything that a person wants to know of a scene, as one plain dict: counts, sizes, frame, metres, coverage."""

from collections import Counter
from typing import Any

import numpy as np
from PIL import Image

from adaptive_nerf.data.masks import partition_names
from adaptive_nerf.data.photos import PICTURE_ERRORS, Photo, same_shape
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import AnyArray, Array

PITCH_BANDS = (("straight down", 0, 15), ("steep", 15, 40), ("oblique", 40, 70), ("towards the horizon", 70, 181))
COVERAGE_CELLS = 96  # ground cells along each side of the cameras' bounding box


def scene_facts(scene: Scene) -> dict[str, Any]:
    cameras_enu_m = camera_positions_enu_m(scene, scene.all_photos)
    lowest_m, highest_m = scene.frame.altitude_range_enu_m
    span_m = np.ptp(cameras_enu_m, axis=0)
    height_m = cameras_enu_m[:, 2] - lowest_m
    focal_px = np.array([photo.intrinsics[0] for photo in scene.all_photos])
    warnings = list(scene.warnings) + picture_warnings(scene)
    return {
        "scene": str(scene.root),
        "photos": {"train": len(scene.split("train")), "val": len(scene.split("val")),
                   "later flights": {tag: len(photos) for tag, photos in scene.flights.items()}},
        "sizes": dict(Counter(f"{photo.width}x{photo.height}" for photo in scene.all_photos).most_common()),
        "cameras": len({(photo.width, photo.height, photo.intrinsics) for photo in scene.all_photos}),
        "horizontal_field_of_view_deg": _spread(_horizontal_fov_deg(scene.all_photos)),
        "photos_with_valid_mask": sum(photo.valid_path is not None for photo in scene.all_photos),
        "georeferenced": scene.frame.is_georeferenced,
        "reference": _reference(scene),
        "metres_per_scene_unit": scene.frame.metres_per_unit,
        "origin_down_right_back_m": [round(value, 3) for value in scene.frame.origin_drb_m],
        "camera_span_m": dict(zip(("east", "north", "up"), (round(float(side), 2) for side in span_m), strict=True)),
        "altitude_range_up_m": {"lowest point": round(lowest_m, 2), "highest camera": round(highest_m, 2)},
        "camera_height_over_lowest_m": _spread(height_m),
        "ground_pixel_below_camera_cm": round(float(np.median(height_m / focal_px)) * 100, 1),
        "pitch_bands": pitch_bands(scene.all_photos),
        "coverage": ground_coverage(scene, cameras_enu_m),
        "partitions": partition_names(scene),
        "warnings": warnings,
    }


def camera_positions_enu_m(scene: Scene, photos: tuple[Photo, ...]) -> Array:  # [n, 3]
    positions_scene = np.stack([photo.c2w_scene[:, 3] for photo in photos])
    return scene.frame.convert(FrameName.SCENE, FrameName.ENU).points(positions_scene)


def off_nadir_deg(photos: tuple[Photo, ...]) -> Array:
    """Angle between each optical axis and straight down. [n]"""
    down_along_axis = np.array([-photo.c2w_scene[0, 2] for photo in photos])  # scene x is down; the camera looks at -z
    return np.degrees(np.arccos(np.clip(down_along_axis, -1, 1)))


def pitch_bands(photos: tuple[Photo, ...]) -> dict[str, int]:
    angles = off_nadir_deg(photos)
    return {f"{name} ({low}-{high} deg off nadir)": int(((angles >= low) & (angles < high)).sum())
            for name, low, high in PITCH_BANDS}


def ground_coverage(scene: Scene, cameras_enu_m: Array) -> dict[str, float]:
    """How many photos see the ground below the cameras, on the plane of the lowest points, nothing hiding anything."""
    seen = photos_per_ground_cell(scene, cameras_enu_m)
    shares = {f"seen_by_{least}_or_more_pct": round(float((seen >= least).mean()) * 100, 1) for least in (1, 3, 10)}
    return shares | {"photos_per_point_median": float(np.median(seen))}


def photos_per_ground_cell(scene: Scene, cameras_enu_m: Array) -> AnyArray:  # [cells * cells]
    low, high = cameras_enu_m.min(0), cameras_enu_m.max(0)
    east, north = (np.linspace(low[axis], high[axis], COVERAGE_CELLS) for axis in (0, 1))
    grid_enu_m = np.stack(np.meshgrid(east, north, [scene.frame.altitude_range_enu_m[0]]), axis=-1).reshape(-1, 3)
    ground_scene = scene.frame.convert(FrameName.ENU, FrameName.SCENE).points(grid_enu_m)
    seen = np.zeros(len(ground_scene), int)
    for photo in scene.all_photos:
        pixels, _ = photo.camera(scene.frame.metres_per_unit).project(ground_scene)
        with np.errstate(invalid="ignore"):  # NaN, behind the camera, is not inside
            seen += ((pixels >= 0) & (pixels < [photo.width, photo.height])).all(-1)
    return seen


def picture_warnings(scene: Scene) -> list[str]:
    """Pictures whose shape is not the one in their metadata; only headers are read."""
    warnings = []
    for photo in scene.all_photos:
        try:
            with Image.open(photo.image_path) as picture:
                width, height = picture.size
        except PICTURE_ERRORS:
            warnings.append(f"{photo.image_path} is not a readable picture")
            continue
        if not same_shape((width, height), (photo.width, photo.height)):
            warnings.append(f"{photo.image_path} is {width}x{height}, its metadata says {photo.width}x{photo.height}")
    return warnings


def _reference(scene: Scene) -> dict[str, float] | None:
    names = ("latitude_deg", "longitude_deg", "ellipsoidal_height_m")
    return dict(zip(names, scene.frame.enu_reference, strict=True)) if scene.frame.enu_reference else None


def _horizontal_fov_deg(photos: tuple[Photo, ...]) -> Array:
    return np.array([2 * np.degrees(np.arctan(photo.width / 2 / photo.intrinsics[0])) for photo in photos])


def _spread(values: Array) -> dict[str, float]:
    return {"least": round(float(values.min()), 1), "median": round(float(np.median(values)), 1),
            "most": round(float(values.max()), 1)}
