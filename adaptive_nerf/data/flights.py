"""Later flights: `continual/<batch>/{rgbs,metadata}` with a manifest.json that names their photos."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.unreadable import unreadable

CONTINUAL, MANIFEST = "continual", "manifest.json"


def find_flights(root: Path, warnings: list[str]) -> Iterator[tuple[str, Path, dict[int, str]]]:
    """Each later flight: its tag (the folder's name), its folder, and its photos' original names by id."""
    for folder in sorted((root / CONTINUAL).glob("*")):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        if not (folder / "metadata").is_dir():
            warnings.append(f"{folder} has no metadata folder and is left out")
            continue
        yield folder.name, folder, _names(folder, warnings)


def _names(folder: Path, warnings: list[str]) -> dict[int, str]:
    path = folder / MANIFEST
    if not path.exists():
        warnings.append(f"{path} is missing; photos go by their file names")
        return {}
    manifest = read_manifest(path)
    if manifest.get("batch_tag") != folder.name:
        warnings.append(f"{path}: batch_tag is {manifest.get('batch_tag')!r}, the folder's name {folder.name!r} counts")
    try:
        return {int(item["id"]): str(item["image_name"]) for item in manifest["items"]}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadData(path, f"cannot be understood ({error!r})", key="items",
                      expected='a list like {"image_name": "DJI_0001.JPG", "id": "000249", ...}') from error


def read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error, "cannot be read", "a JSON object") from error
    if not isinstance(manifest, dict):
        raise BadData(path, f"holds a {type(manifest).__name__}", expected="a JSON object")
    return manifest
