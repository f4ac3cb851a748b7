"""A prepared scene: found, read and checked; tolerant where the meaning is clear, exact in its errors where it is not.

    <scene>/coordinates.pt  mappings.txt  {train,val}/{metadata,rgbs,valid}/  continual/<batch>/...  masks/<name>/...
`test/` may stand for `val/`; a flat <scene>/{metadata,rgbs} is all val. docs/scene_format.md tells every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.common.say import say
from adaptive_nerf.data.checked_values import numbers, require_known_version, scalar
from adaptive_nerf.data.flights import MANIFEST, find_flights
from adaptive_nerf.data.mappings import read_mappings
from adaptive_nerf.data.photos import PICTURE_SUFFIXES, Photo, read_photo
from adaptive_nerf.data.tensor_files import load_dict
from adaptive_nerf.geometry.frames import SceneFrame

COORDINATES, MAPPINGS = "coordinates.pt", "mappings.txt"
COORDINATES_VERSION = 1  # what a file that tells none is
MANY = 2000  # photos: reading their metadata takes a second or more


@dataclass(frozen=True)
class Scene:
    root: Path
    frame: SceneFrame
    photos: tuple[Photo, ...]  # by id; train and val share one id space
    flights: dict[str, tuple[Photo, ...]]  # later flights by batch tag (the folder's name)
    warnings: tuple[str, ...]  # untidiness that was understood

    def split(self, name: str) -> tuple[Photo, ...]:
        return tuple(photo for photo in self.photos if photo.split == name)

    @property
    def all_photos(self) -> tuple[Photo, ...]:
        return self.photos + tuple(photo for flight in self.flights.values() for photo in flight)


def open_scene(root: Path) -> Scene:
    """Read everything but the pixels."""
    if not root.is_dir():
        raise BadData(root, "is not a folder", expected="a prepared scene (see prepare_dataset.py)")
    if not (root / COORDINATES).exists():
        raise BadData(root / COORDINATES, "is missing", expected="a prepared scene (see prepare_dataset.py)")
    warnings: list[str] = []
    frame = read_coordinates(root / COORDINATES)
    names = read_mappings(root / MAPPINGS, warnings)
    photos = sorted(_read_splits(root, names, warnings), key=lambda photo: photo.photo_id)
    if not photos:
        raise BadData(root, "holds no photos", expected="train/metadata/000000.pt and so on")
    _tell_nameless(root / MAPPINGS, photos, names, warnings)
    flights = {}
    for tag, folder, flight_names in find_flights(root, warnings):
        flights[tag] = _read_folder(folder, tag, flight_names, warnings)
        _tell_nameless(folder / MANIFEST, flights[tag], flight_names, warnings)
    scene = Scene(root, frame, tuple(photos), flights, tuple(warnings))
    _require_distinct_ids(scene)
    return scene


def with_new_flights(scene: Scene) -> Scene:
    """With the later flights that were added since it was read."""
    warnings, flights = list(scene.warnings), dict(scene.flights)
    for tag, folder, names in find_flights(scene.root, warnings):
        if tag not in flights:
            flights[tag] = _read_folder(folder, tag, names, warnings)
            _tell_nameless(folder / MANIFEST, flights[tag], names, warnings)
    found = replace(scene, flights=flights, warnings=tuple(dict.fromkeys(warnings)))
    _require_distinct_ids(found)
    return found


def _read_splits(root: Path, names: dict[int, str], warnings: list[str]) -> list[Photo]:
    if (root / "metadata").is_dir():
        return list(_read_folder(root, "val", names, warnings))
    val = "val" if (root / "val").is_dir() or not (root / "test").is_dir() else "test"
    photos: list[Photo] = []
    for split, folder in (("train", root / "train"), ("val", root / val)):
        if folder.is_dir():
            photos += _read_folder(folder, split, names, warnings)
    return photos


def _read_folder(folder: Path, split: str, names: dict[int, str], warnings: list[str]) -> tuple[Photo, ...]:
    metadata_paths = sorted((folder / "metadata").glob("*.pt"))
    pictures = {path.stem: path for path in sorted((folder / "rgbs").glob("*")) if path.suffix in PICTURE_SUFFIXES}
    if len(metadata_paths) >= MANY:
        say(f"reading what {folder / 'metadata'} tells of {len(metadata_paths)} photos")
    photos = []
    for path in metadata_paths:
        if not path.stem.isdecimal():
            raise BadData(path, "has no photo id in its name", expected="six digits, as 000123.pt")
        if path.stem not in pictures:
            raise BadData(folder / "rgbs" / path.stem, f"has no picture for {path.name}", expected="a .jpg or .png")
        valid = folder / "valid" / f"{path.stem}.png"
        name = names.get(int(path.stem))
        photos.append(read_photo(path, pictures[path.stem], valid if valid.exists() else None, split,
                                 name or pictures[path.stem].name))
    orphans = len(pictures) - len(photos)
    if orphans:
        warnings.append(f"{folder}: {orphans} pictures have no metadata and are left out")
    return tuple(photos)


def _tell_nameless(record: Path, photos: Sequence[Photo], names: dict[int, str], warnings: list[str]) -> None:
    """Once for a record that is there; whoever looked for it has told of one that is not."""
    nameless = sum(not names.get(photo.photo_id) for photo in photos)
    if nameless and record.exists():
        warnings.append(f"{record}: {nameless} photos have no original name on record; their file names stand for it")


def _require_distinct_ids(scene: Scene) -> None:
    seen: dict[int, Photo] = {}
    for photo in scene.all_photos:
        if photo.photo_id in seen:
            raise BadData(photo.metadata_path, f"has the id of {seen[photo.photo_id].metadata_path}",
                          expected="one id space over train, val and later flights")
        seen[photo.photo_id] = photo


def read_coordinates(path: Path) -> SceneFrame:
    value = load_dict(path)
    require_known_version(value, COORDINATES_VERSION, path)
    origin = numbers(value, "origin_drb", (3,), path).tolist()
    altitude = numbers(value, "altitude_range_enu", (2,), path).tolist()
    scale = scalar(value, "pose_scale_factor", path)
    if scale <= 0:
        raise BadData(path, f"is {scale:g}", key="pose_scale_factor", expected="positive metres per scene unit")
    if altitude[0] > altitude[1]:
        raise BadData(path, f"is {altitude}", key="altitude_range_enu", expected="lowest point, then highest camera")
    return SceneFrame((origin[0], origin[1], origin[2]), scale, _enu_reference(value, path), (altitude[0], altitude[1]))


def _enu_reference(value: dict[str, Any], path: Path) -> tuple[float, float, float] | None:
    key = "enu_ref_coords"
    if value.get(key) is None:
        return None
    lat_deg, lon_deg, height_m = numbers(value, key, (3,), path).tolist()
    if abs(lat_deg) > 90 or abs(lon_deg) > 180:
        raise BadData(path, f"is latitude {lat_deg:g}, longitude {lon_deg:g}", key=key,
                      expected="degrees within 90 and 180, then the ellipsoidal height in metres")
    return lat_deg, lon_deg, height_m


def coordinates_dict(frame: SceneFrame) -> dict[str, Any]:
    """What goes into coordinates.pt."""
    return {"origin_drb": torch.tensor(frame.origin_drb_m, dtype=torch.float32),
            "pose_scale_factor": float(frame.metres_per_unit),
            "altitude_range_enu": torch.tensor(frame.altitude_range_enu_m, dtype=torch.float32),
            "enu_ref_coords": frame.enu_reference}
