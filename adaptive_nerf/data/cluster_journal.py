"""What an unfinished partition has done so far: which photos, with their statistics, for which inputs.

Lives in the partial folder: inputs.json, written first, and photos.jsonl, one line for each finished photo, with a
checksum of every mask, so that a kept photo is one whose masks are whole. A torn last line counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adaptive_nerf.common.atomic_files import write_json
from adaptive_nerf.data.partition import INPUTS, PartitionSettings
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene

JOURNAL = "photos.jsonl"


@dataclass(frozen=True)
class PhotoRecord:
    """What one photo adds to the partition; JSON keeps its floats to the last bit."""

    stem: str
    checksums: list[int]  # [K] crc32 of the mask files
    pixels: list[int]  # [K] pixels of each expert
    counts: list[int]  # [K] routed samples
    mins: list[list[float]]  # [K, 3] of the routed samples; Infinity where there are none
    maxs: list[list[float]]


def recorded_inputs(scene: Scene, settings: PartitionSettings, labels: Mapping[str, Path]) -> dict[str, Any]:
    """Everything the result depends on, and nothing else: no paths, no times, no number of workers."""
    return json.loads(json.dumps({
        "format_version": 1, "settings": asdict(settings), "frame": scene.frame.to_json(),
        "photos": len(scene.photos), "photos_sha256": _photos_digest(scene.photos),
        "segmentation_sha256": _files_digest(labels.values()) if labels else None}))


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What two records of inputs differ in, told for people: empty if they are the same."""
    versions = recorded.get("format_version"), wanted["format_version"]
    told = [f"format_version was {versions[0]}, now {versions[1]}"] if versions[0] != versions[1] else []
    old, new = recorded.get("settings", {}), wanted["settings"]
    told += [f"{key} was {old.get(key)}, now {value}" for key, value in new.items() if old.get(key) != value]
    names = {"frame": "the scene's frame", "photos_sha256": "the photos", "segmentation_sha256": "the segmentation"}
    return told + [f"{name} changed" for key, name in names.items() if recorded.get(key) != wanted[key]]


def read_inputs(folder: Path) -> dict[str, Any] | None:
    try:
        value = json.loads((folder / INPUTS).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("settings", {}), dict) else None


def start_over(partial: Path, inputs: Mapping[str, Any], n_experts: int) -> None:
    for path in partial.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for expert in range(n_experts):
        (partial / str(expert)).mkdir()
    write_json(partial / INPUTS, inputs)


def finished_photos(partial: Path, n_experts: int) -> dict[str, PhotoRecord]:
    """By stem: the photos on record whose masks are whole; the journal is rewritten to hold just them."""
    path = partial / JOURNAL
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    records = [record for record in map(_parsed, lines) if record and _is_whole(record, partial, n_experts)]
    path.write_text("".join(map(journal_line, records)))
    return {record.stem: record for record in records}


def journal_line(record: PhotoRecord) -> str:
    return json.dumps(asdict(record)) + "\n"


def _parsed(line: str) -> PhotoRecord | None:
    try:
        return PhotoRecord(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _is_whole(record: PhotoRecord, partial: Path, n_experts: int) -> bool:
    paths = [partial / str(expert) / f"{record.stem}.pt" for expert in range(n_experts)]
    return len(record.checksums) == n_experts and all(
        path.is_file() and zlib.crc32(path.read_bytes()) == checksum
        for path, checksum in zip(paths, record.checksums, strict=True))


def _photos_digest(photos: Sequence[Photo]) -> str:
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(json.dumps([photo.stem, photo.width, photo.height, photo.intrinsics]).encode())
        digest.update(np.ascontiguousarray(photo.c2w_scene, np.float64).tobytes())
        if photo.valid_path:
            digest.update(hashlib.sha256(photo.valid_path.read_bytes()).digest())
    return digest.hexdigest()


def _files_digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
