"""A COLMAP model and its photos -> a prepared scene."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.common.parallel import in_threads
from adaptive_nerf.common.progress import track
from adaptive_nerf.common.say import say
from adaptive_nerf.common.workspace import RECORDS, publish, workspace
from adaptive_nerf.data.colmap import ColmapModel, read_model
from adaptive_nerf.data.frame_choice import FrameSettings, choose_frame, scene_pose
from adaptive_nerf.data.mappings import mappings_text
from adaptive_nerf.data.photo_export import PhotoOutcome, PhotoTask, export_photo
from adaptive_nerf.data.scene import COORDINATES, MAPPINGS, coordinates_dict
from adaptive_nerf.data.source_photos import SourcePhoto, find_source_photos, tell_strangers
from adaptive_nerf.data.tensor_files import save_tensors
from adaptive_nerf.data.undistort import DEFAULT_JPEG_QUALITY
from adaptive_nerf.geometry.frames import SceneFrame, c2w_from_colmap

WORK_VERSION = 1
SPLITS = ("train", "val")


@dataclass(frozen=True)
class PrepareSettings:
    data_path: Path  # holds model/ and images/
    output_path: Path
    val_split: float = 0.2
    frame: FrameSettings = field(default_factory=FrameSettings)
    jpeg_quality: int = DEFAULT_JPEG_QUALITY
    skip_missing: bool = False
    force: bool = False
    jobs: int = 1


def prepare_scene(settings: PrepareSettings) -> dict[str, Any]:
    """Write the scene whole or not at all; the answer is a report of plain values."""
    _check(settings)
    _guard_output(settings)
    model = read_model(settings.data_path / "model")
    warnings = list(model.warnings)
    photos = find_source_photos(model.images, settings.data_path / "images", settings.skip_missing, warnings)
    tell_strangers([image.name for image in model.images], settings.data_path / "images", warnings)
    c2w_model = c2w_from_colmap(np.stack([photo.world_to_camera for photo in photos]))
    frame = choose_frame(c2w_model[:, :, 3], model.points, [photo.name for photo in photos], settings.frame, warnings)
    _tell_frame(frame, settings.frame)
    splits = _splits(len(photos), settings.val_split)
    with workspace(settings.output_path, _inputs(settings, model, photos, splits, frame)) as partial:
        make_photo_folders([partial / split for split in SPLITS], partial / RECORDS)
        poses = [scene_pose(frame, c2w, settings.frame.metres_per_unit) for c2w in c2w_model]
        tasks = [PhotoTask(photo_id, photo, pose, partial / split, partial / RECORDS, settings.jpeg_quality)
                 for photo_id, (photo, pose, split) in enumerate(zip(photos, poses, splits, strict=True))]
        outcomes = export_photos(tasks, settings.jobs)
        save_tensors(partial / COORDINATES, coordinates_dict(frame))
        atomic_files.write_text(partial / MAPPINGS, mappings_text(dict(enumerate(photo.name for photo in photos))))
        publish(partial, settings.output_path, settings.force)
    return {"scene": str(settings.output_path), **photo_facts(photos, outcomes),
            "splits": {split: splits.count(split) for split in SPLITS}, "points": len(model.points),
            **_frame_facts(frame), "warnings": warnings + photo_warnings(photos, outcomes) + _split_warnings(splits)}


def make_photo_folders(folders: Sequence[Path], records: Path) -> None:
    for folder in [path / part for path in folders for part in ("metadata", "rgbs")] + [records]:
        atomic_files.make_folder(folder)


def export_photos(tasks: Sequence[PhotoTask], jobs: int) -> list[PhotoOutcome]:
    return list(track(in_threads(export_photo, tasks, jobs), len(tasks), "photos"))


def photo_facts(photos: Sequence[SourcePhoto], outcomes: Sequence[PhotoOutcome]) -> dict[str, Any]:
    sizes = sorted(f"{outcome.width}x{outcome.height}" for outcome in outcomes)
    times = sorted(photo.captured_at for photo in photos if photo.captured_at)
    lenses = sorted(photo.camera.model for photo in photos)
    masked = [outcome.invalid_share for outcome in outcomes if outcome.invalid_share > 0]
    return {"photos": len(photos), "sizes": dict(Counter(sizes)),
            "lenses": [{"lens": lens, "photos": count} for lens, count in Counter(lenses).items()],
            "copied_unchanged": sum(outcome.copied for outcome in outcomes),
            "undistorted": sum(not photo.camera.is_pinhole for photo in photos),
            "with_valid_mask": len(masked), "masked_pct": 100 * sum(masked) / len(outcomes),
            "captured": [times[0], times[-1]] if times else None}


def photo_warnings(photos: Sequence[SourcePhoto], outcomes: Sequence[PhotoOutcome]) -> list[str]:
    found = sum(outcome.found_borders for outcome in outcomes)
    warnings = [f"{found} photos came with black borders; they were masked"] if found else []
    blind = [photo.name for photo, outcome in zip(photos, outcomes, strict=True) if outcome.invalid_share > 0.5]
    if blind:
        warnings.append(f"{len(blind)} photos have a picture on less than half of their pixels, {blind[0]} for one; "
                        f"is their camera's distortion right?")
    return warnings


def _check(settings: PrepareSettings) -> None:
    if not 0 <= settings.val_split <= 1:
        raise BadUsage(f"--val_split {settings.val_split:g} is no share; give 0 (no val photos) to 1 (all are val)")
    if not 0 <= settings.frame.points_low_alt_percentile <= 1:
        raise BadUsage(f"--points_low_alt_percentile {settings.frame.points_low_alt_percentile:g} is no share; "
                       f"give 0 to 1, where 0.01 leaves out the lowest hundredth of the points")
    if not 0 < settings.frame.metres_per_unit < float("inf"):
        raise BadUsage(f"--metres_per_unit {settings.frame.metres_per_unit:g}; give a positive number")
    if not 0 <= settings.frame.maximum_allowed_height_m < float("inf"):
        raise BadUsage(f"--maximum_allowed_height {settings.frame.maximum_allowed_height_m:g}; give 0 or more metres")
    if settings.frame.ecef_to_enu and settings.frame.metres_per_unit != 1:
        raise BadUsage("--metres_per_unit is for models without geo-reference; with --ecef_to_enu units are metres")
    if not settings.data_path.is_dir():
        raise BadUsage(f"--data_path {settings.data_path} is not a folder; it should hold model/ and images/")


def _guard_output(settings: PrepareSettings) -> None:
    """--force replaces a scene, never a folder of something else, and never what the scene is made from."""
    output = settings.output_path
    if output.exists() and settings.data_path.resolve().is_relative_to(output.resolve()):
        raise BadUsage(f"--output_path {output} holds --data_path {settings.data_path}; choose another name")
    atomic_files.refuse_existing(output, settings.force, COORDINATES)


def _splits(count: int, val_split: float) -> list[str]:
    """train or val for every photo in name order."""
    val = set(np.rint(np.linspace(0, count - 1, round(val_split * count))).astype(int).tolist())
    return ["val" if position in val else "train" for position in range(count)]


def _split_warnings(splits: Sequence[str]) -> list[str]:
    return [f"no photo is in {split}; change --val_split" for split in SPLITS if split not in splits]


def _tell_frame(frame: SceneFrame, settings: FrameSettings) -> None:
    say(frame.describe())
    if not frame.is_georeferenced:
        say(f"a unit of the model is taken for {settings.metres_per_unit:g} m (--metres_per_unit)")
    say(f"one scene unit is {frame.metres_per_unit:.3f} m ({settings.scale_strategy})")


def _inputs(settings: PrepareSettings, model: ColmapModel, photos: Sequence[SourcePhoto], splits: Sequence[str],
            frame: SceneFrame) -> dict[str, Any]:
    """What the work is about. Whatever else a photo depends on stands in its own record."""
    return {"version": WORK_VERSION, "model": model.digest, "frame": frame.to_json(),
            "metres_per_unit": settings.frame.metres_per_unit, "jpeg_quality": settings.jpeg_quality,
            "photos": [[photo.name, split] for photo, split in zip(photos, splits, strict=True)]}


def _frame_facts(frame: SceneFrame) -> dict[str, Any]:
    lowest_m, highest_m = frame.altitude_range_enu_m
    return {"frame": frame.describe(), "enu_reference": list(frame.enu_reference) if frame.enu_reference else None,
            "metres_per_scene_unit": frame.metres_per_unit, "origin_drb_m": list(frame.origin_drb_m),
            "altitude_range_m": [lowest_m, highest_m]}
