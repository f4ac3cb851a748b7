"""Partitions and expert masks, read: tolerant of sizes and wrappers, exact about what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.checked_values import (
    numbers,
    pixels_array,
    require_known_version,
    scalar,
    text,
    whole_number,
    whole_numbers,
    yes_or_no,
)
from adaptive_nerf.data.partition import BOXES, FORMAT_VERSION, PARAMS, Partition
from adaptive_nerf.data.photos import same_shape
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.data.tensor_files import load_dict, load_zipped_tensor
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.types import AnyArray, BoolArray

MASKS = "masks"


def partition_names(scene: Scene) -> list[str]:
    """The folders under masks/, whole or not."""
    return sorted(path.name for path in (scene.root / MASKS).glob("*") if path.is_dir() and path.name[0] != ".")


def open_partition(scene: Scene, name: str | Path) -> Partition:
    """Read everything but the masks. `name` is a folder under masks/, or the path of one elsewhere."""
    folder = name if isinstance(name, Path) else scene.root / MASKS / name
    if not folder.is_dir():
        raise BadData(folder, "is not there", expected=f"one of: {', '.join(partition_names(scene)) or 'none yet'}")
    params, boxes = (_read(folder / file) for file in (PARAMS, BOXES))
    centroids = numbers(params, "centroids", (-1, 3), folder / PARAMS)
    count = len(centroids)
    if not np.allclose(numbers(boxes, "centroids", (count, 3), folder / BOXES), centroids, atol=1e-6):
        raise BadData(folder / BOXES, "differs from params.pt", key="centroids", expected="both of one run")
    lows, highs = (numbers(boxes, key, (count, 3), folder / BOXES) for key in ("mins", "maxs"))
    whole = numbers(boxes, "aabb_global", (2, 3), folder / BOXES)
    grid = whole_numbers(params, "grid_dim", (3,), folder / PARAMS, least=1).tolist()
    return Partition(
        folder=folder, centroids=centroids, boxes=tuple(map(Box, lows, highs)), global_box=Box(whole[0], whole[1]),
        counts=whole_numbers(boxes, "counts", (count,), folder / BOXES),
        grid_dim=(grid[0], grid[1], grid[2]), centroid_mode=text(params, "centroid_mode", folder / PARAMS),
        cluster_2d=yes_or_no(params, "cluster_2d", folder / PARAMS),
        boundary_margin=scalar(params, "boundary_margin", folder / PARAMS),
        ray_samples=whole_number(params, "ray_samples", folder / PARAMS, least=1),
        scene_scale=scalar(params, "scene_scale", folder / PARAMS),
        near_far_override_m=_near_far(params, folder / PARAMS), warnings=tuple(_mask_warnings(scene, folder, count)))


def _mask_warnings(scene: Scene, folder: Path, n_experts: int) -> Iterable[str]:
    stems = {photo.stem for photo in scene.photos}
    for expert in range(n_experts):
        if not (folder / str(expert)).is_dir():
            raise BadData(folder / str(expert), "is missing", expected=f"the masks of expert {expert}")
        there = {path.stem for path in (folder / str(expert)).glob("*.pt")}
        if missing := sorted(stems - there):
            yield f"{folder / str(expert)}: {len(missing)} photos have no mask ({missing[0]} is the first)"
        if extra := sorted(there - {photo.stem for photo in scene.all_photos}):
            yield f"{folder / str(expert)}: {len(extra)} masks belong to no photo ({extra[0]} is the first)"


def load_mask(path: Path, width: int, height: int, full_size: tuple[int, int] | None = None) -> BoolArray:
    """The pixels an expert trains on, at the size one works at; the photo's own is full_size if it is another.

    -> [height, width]
    """
    mask = pixels_array(load_zipped_tensor(path), path)
    if mask.ndim == 1:
        mask = _unflattened(mask, (width, height), full_size or (width, height), path)
    if mask.ndim != 2 or mask.size == 0:
        raise BadData(path, f"has shape {mask.shape}", expected="bool[H,W], or a flat bool[H*W]")
    return resized_nearest(mask != 0, width, height, path)


def resized_nearest(picture: AnyArray, width: int, height: int, path: Path) -> AnyArray:
    """[H, W] -> [height, width] by the nearest pixel centre; another shape (beyond a pixel's rounding) is refused."""
    full_height, full_width = picture.shape
    if (full_width, full_height) == (width, height):
        return picture
    if not same_shape((full_width, full_height), (width, height)):
        raise BadData(path, f"is {full_width}x{full_height}, another aspect ratio than its photo",
                      expected=f"the shape of {width}x{height}")
    rows = ((np.arange(height) + 0.5) * full_height / height).astype(int)
    columns = ((np.arange(width) + 0.5) * full_width / width).astype(int)
    return picture[rows[:, None], columns]


def mask_agreement_pct(ours: Path, theirs: Path, scene: Scene, n_experts: int) -> float:
    """Share of pixels, over all photos and experts, on which two folders of masks agree at the photos' size."""
    agreed = total = 0
    for photo in scene.photos:
        for expert in range(n_experts):
            first, second = (load_mask(folder / str(expert) / f"{photo.stem}.pt", photo.width, photo.height)
                             for folder in (ours, theirs))
            agreed, total = agreed + int((first == second).sum()), total + first.size
    return 100 * agreed / total


def _unflattened(mask: AnyArray, size: tuple[int, int], full_size: tuple[int, int], path: Path) -> AnyArray:
    """A flat mask is of the photo's size, of the size one works at, or of another one of the photo's shape."""
    factor = math.sqrt(mask.size / math.prod(full_size))
    another = round(full_size[0] * factor), round(full_size[1] * factor)
    for width, height in (full_size, size, another):
        if width * height == mask.size:
            return mask.reshape(height, width)
    raise BadData(path, f"is flat with {mask.size} pixels",
                  expected=f"a picture of the shape {full_size[0]}x{full_size[1]}")


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise BadData(path, "is missing, so this is no whole partition", expected="what create_clusters.py writes")
    value = load_dict(path)
    require_known_version(value, FORMAT_VERSION, path)
    return value


def _near_far(params: dict[str, Any], path: Path) -> tuple[float | None, float | None]:
    """Each may be left open, and so may both."""
    key = "near_far_override_m"
    given = params.get(key)
    if given is None:
        return None, None
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        near_m, far_m = numbers(params, key, (2,), path).tolist()
        return near_m, far_m
    near_m, far_m = (None if number is None else scalar({key: number}, key, path) for number in given)
    return near_m, far_m
