"""A later flight comes into a prepared scene: `continual/<batch>`, in the scene's own frame. All or nothing.

The folder is published first and mappings.txt is extended after it. Every state between is a valid scene, because the
batch's manifest names its photos too; the next run of the same command then only completes mappings.txt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadUsage, OutputExists
from adaptive_nerf.common.say import say
from adaptive_nerf.common.workspace import RECORDS, publish, workspace
from adaptive_nerf.data.colmap import ColmapModel, first_few, read_model
from adaptive_nerf.data.flights import CONTINUAL, MANIFEST
from adaptive_nerf.data.mappings import mappings_text, read_mappings
from adaptive_nerf.data.photo_export import PhotoTask
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.prepare import (
    WORK_VERSION,
    export_photos,
    make_photo_folders,
    photo_facts,
    photo_warnings,
)
from adaptive_nerf.data.scene import MAPPINGS, Scene, open_scene
from adaptive_nerf.data.source_photos import SourcePhoto, find_source_photos, tell_strangers
from adaptive_nerf.data.undistort import DEFAULT_JPEG_QUALITY
from adaptive_nerf.data.update_selection import (
    OnOverflow,
    PosedImage,
    cube_of,
    in_scene_units,
    new_images,
    tell_unproven_frame,
    within_cube,
)
from adaptive_nerf.geometry.types import Array

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
SPLIT_NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class UpdateSettings:
    update_model_path: Path
    image_path: Path
    prepared_dir: Path
    batch_tag: str
    on_overflow: OnOverflow = "abort"
    metres_per_unit: float = 1.0
    jpeg_quality: int = DEFAULT_JPEG_QUALITY
    skip_missing: bool = False
    force: bool = False
    jobs: int = 1

    @property
    def target(self) -> Path:
        return self.prepared_dir / CONTINUAL / self.batch_tag


def update_scene(settings: UpdateSettings) -> dict[str, Any]:
    """Add the flight whole or not at all; the answer is a report of plain values."""
    _check(settings)
    with atomic_files.locked_folder(settings.prepared_dir):
        return _update(settings, open_scene(settings.prepared_dir))


def _update(settings: UpdateSettings, scene: Scene) -> dict[str, Any]:
    model = read_model(settings.update_model_path)
    warnings = [*scene.warnings, *model.warnings]
    posed = in_scene_units(model, scene.frame, settings.metres_per_unit, warnings)
    others = [photo for photo in scene.all_photos if photo.split != settings.batch_tag]
    fresh, known = new_images(posed, others, scene.frame.metres_per_unit, warnings)
    tell_unproven_frame(scene.frame, known, warnings)
    inside, outside = within_cube(fresh, settings.on_overflow, cube_of(scene.photos))
    counts = {"batch": settings.batch_tag, "known_already": known, "left_out": len(outside)}
    if settings.target.exists() and not settings.force:
        return counts | {"completed": _complete_mappings(settings, inside)}
    if outside:
        warnings.append(f"{len(outside)} photos were taken outside of the scene's cube and are left out: "
                        f"{first_few(outside)}")
    photos = find_source_photos([item.image for item in inside], settings.image_path, settings.skip_missing, warnings)
    tell_strangers([item.name for item in (*model.images, *others)], settings.image_path, warnings)
    poses = {item.image.name: item.c2w_scene for item in inside}
    first_id = max(photo.photo_id for photo in others) + 1
    facts = _write_batch(settings, model, photos, poses, first_id)
    names = {first_id + index: photo.name for index, photo in enumerate(photos)}
    _extend_mappings(settings, names, others)
    warnings += facts.pop("warnings")
    return counts | {"first_id": first_id, **facts, "frame": scene.frame.describe(), "warnings": warnings}


def _check(settings: UpdateSettings) -> None:
    if not PLAIN_NAME.fullmatch(settings.batch_tag) or settings.batch_tag in SPLIT_NAMES:
        raise BadUsage(f"--batch_tag {settings.batch_tag!r} is no plain name; use letters, digits, '-', '_' and '.', "
                       f"and not {', '.join(SPLIT_NAMES)}")
    if not 0 < settings.metres_per_unit < float("inf"):
        raise BadUsage(f"--metres_per_unit {settings.metres_per_unit:g}; give a positive number")
    if not settings.prepared_dir.is_dir():
        raise BadUsage(f"--prepared_dir {settings.prepared_dir} is not a folder; give a scene of prepare_dataset.py")


def _write_batch(settings: UpdateSettings, model: ColmapModel, photos: Sequence[SourcePhoto], poses: dict[str, Array],
                 first_id: int) -> dict[str, Any]:
    atomic_files.make_folder(settings.target.parent)
    names = [photo.name for photo in photos]
    inputs = {"version": WORK_VERSION, "model": model.digest, "first_id": first_id, "photos": names,
              "jpeg_quality": settings.jpeg_quality}
    with workspace(settings.target, inputs) as partial:
        make_photo_folders([partial], partial / RECORDS)
        tasks = [PhotoTask(photo_id, photo, poses[photo.name], partial, partial / RECORDS, settings.jpeg_quality)
                 for photo_id, photo in enumerate(photos, first_id)]
        outcomes = export_photos(tasks, settings.jobs)
        atomic_files.write_json(partial / MANIFEST, _manifest(settings.batch_tag, photos, first_id))
        publish(partial, settings.target, settings.force)
    return photo_facts(photos, outcomes) | {"warnings": photo_warnings(photos, outcomes)}


def _manifest(batch_tag: str, photos: Sequence[SourcePhoto], first_id: int) -> dict[str, Any]:
    items = [{"image_name": photo.name, "id": f"{photo_id:06d}", "camera_id": photo.camera.camera_id,
              "undistort": photo.camera.undistort_kind, "pose_rev": 0}
             for photo_id, photo in enumerate(photos, first_id)]
    return {"batch_tag": batch_tag, "count": len(items), "items": items}


def _mappings(settings: UpdateSettings) -> Path:
    """Its path, cleared of what a killed update was writing; the scene is ours alone."""
    for path in settings.prepared_dir.glob(f".{MAPPINGS}.*"):
        path.unlink()
    return settings.prepared_dir / MAPPINGS


def _extend_mappings(settings: UpdateSettings, names: dict[int, str], others: Sequence[Photo]) -> None:
    """Lines without a photo, left by a killed --force, go when their ids are given out anew."""
    path = _mappings(settings)
    existing = {photo.photo_id for photo in others}
    kept = {photo_id: name for photo_id, name in (read_mappings(path, []) if path.exists() else {}).items()
            if photo_id < min(names) and (photo_id in existing or not settings.force)}
    atomic_files.write_text(path, mappings_text(kept | names))


def _complete_mappings(settings: UpdateSettings, inside: Sequence[PosedImage]) -> int:
    """After a kill between the two steps: the number of lines that were missing. Anything else exists already."""
    batch = open_scene(settings.prepared_dir).flights.get(settings.batch_tag, ())
    names = {photo.photo_id: photo.name for photo in batch}
    path = _mappings(settings)
    mappings = read_mappings(path, [])
    missing = [photo_id for photo_id, name in names.items() if mappings.get(photo_id) != name]
    expected, found = {item.image.name for item in inside}, set(names.values())
    if not missing or not (found == expected or (settings.skip_missing and found < expected)):
        raise OutputExists(settings.target)
    atomic_files.write_text(path, mappings_text(mappings | names))
    say(f"{settings.target} was there already; {len(missing)} lines were added to {path}")
    return len(missing)
