"""Everything that a person wants to know of a partition: each expert's box in metres, its share of pixels, overlaps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaptive_nerf.common.progress import track
from adaptive_nerf.data.masks import load_mask, open_partition
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import AnyArray

LOOKED_AT = 256  # photos at most: shares of a city are told from evenly spaced ones


@dataclass(frozen=True)
class PixelShares:
    """Shares of all pixels of the photos looked at, in percent."""

    by_expert: AnyArray  # [K] pixels an expert trains on
    alone: AnyArray  # [K] pixels that no other expert trains on
    by_number_of_experts: AnyArray  # [K + 1] pixels with 0, 1, ... experts
    photos: AnyArray  # [K] photos with any pixel of the expert


def partition_facts(scene: Scene, name: str) -> dict[str, Any]:
    partition = open_partition(scene, name)
    shares = pixel_shares(scene, partition)
    metres = scene.frame.metres_per_unit
    near_m, far_m = partition.near_far_override_m
    size_m = (partition.global_box.high - partition.global_box.low) * metres
    return {
        "partition": str(partition.folder),
        "experts_in_all": partition.n_experts,
        "centroids": f"{partition.centroid_mode}, {'x'.join(map(str, partition.grid_dim))} (down x right x back)",
        "distances": "horizontal" if partition.cluster_2d else "in space",
        "boundary_margin": partition.boundary_margin,
        "ray_samples": partition.ray_samples,
        "scene_scale": partition.scene_scale,
        "near_far_override_m": [near_m, far_m],
        "whole_box_m": dict(zip(("down", "east-west", "north-south"), map(_one_decimal, size_m), strict=True)),
        "pixels_with_several_experts_pct": _one_decimal(shares.by_number_of_experts[2:].sum()),
        "pixels_with_no_expert_pct": _one_decimal(shares.by_number_of_experts[0]),
        "photos_looked_at": len(_looked_at(scene, partition)),
        "experts": [_expert_row(scene, partition, shares, expert) for expert in range(partition.n_experts)],
        "warnings": list(partition.warnings),
    }


def pixel_shares(scene: Scene, partition: Partition) -> PixelShares:
    n = partition.n_experts
    trained, alone, photos_of = np.zeros(n), np.zeros(n), np.zeros(n, int)
    by_number, total = np.zeros(n + 1), 0
    photos = _looked_at(scene, partition)
    for masks in track(_masks(scene, partition), len(photos), "masks read"):
        experts_of_pixel = masks.sum(0)  # [h, w]
        trained += masks.sum((1, 2))
        alone += (masks & (experts_of_pixel == 1)).sum((1, 2))
        by_number += np.bincount(experts_of_pixel.ravel(), minlength=n + 1)
        photos_of += masks.any((1, 2))
        total += experts_of_pixel.size
    percent = 100 / max(total, 1)
    return PixelShares(trained * percent, alone * percent, by_number * percent, photos_of)


def _masks(scene: Scene, partition: Partition) -> Iterator[AnyArray]:  # bool [K, h, w] a photo
    for photo in _looked_at(scene, partition):
        yield np.stack([load_mask(partition.mask_path(expert, photo.stem), photo.width, photo.height)
                        for expert in range(partition.n_experts)])


def _looked_at(scene: Scene, partition: Partition) -> list[Photo]:
    photos = [photo for photo in scene.photos if partition.has_masks_of(photo.stem)]
    places = np.linspace(0, len(photos) - 1, min(LOOKED_AT, len(photos))).round().astype(int)
    return [photos[place] for place in places]


def _expert_row(scene: Scene, partition: Partition, shares: PixelShares, expert: int) -> dict[str, Any]:
    box = partition.boxes[expert]
    east_m, north_m, _ = scene.frame.convert(FrameName.SCENE, FrameName.ENU).points(partition.centroids[expert])
    _, width_m, depth_m = (box.high - box.low) * scene.frame.metres_per_unit
    return {"expert": expert, "centre_east_m": _one_decimal(east_m), "centre_north_m": _one_decimal(north_m),
            "box_east_west_m": _one_decimal(width_m), "box_north_south_m": _one_decimal(depth_m),
            "photos": int(shares.photos[expert]), "pixels_pct": _one_decimal(shares.by_expert[expert]),
            "alone_pct": _one_decimal(shares.alone[expert])}


def _one_decimal(value: float) -> float:
    return round(float(value), 1) + 0.0  # + 0.0: no negative zero
