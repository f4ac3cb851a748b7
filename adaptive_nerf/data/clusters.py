"""create_clusters: the partition of a scene into experts, photo by photo, restartable, then published whole."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial as bound
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaptive_nerf.common.atomic_files import (
    locked_folder,
    partial_folder,
    publish_folder,
    refuse_existing,
    write_bytes,
    write_text,
)
from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.common.parallel import in_processes
from adaptive_nerf.common.progress import track
from adaptive_nerf.common.say import say
from adaptive_nerf.data.centroids import grid_centroids, kmeans_centroids
from adaptive_nerf.data.cluster_journal import (
    JOURNAL,
    PhotoRecord,
    differences,
    finished_photos,
    journal_line,
    read_inputs,
    recorded_inputs,
    start_over,
)
from adaptive_nerf.data.masks import MASKS, open_partition
from adaptive_nerf.data.partition import (
    BOXES,
    BOXES_TEXT,
    PARAMS,
    Partition,
    PartitionSettings,
    boxes_dict,
    boxes_text,
    params_dict,
)
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.routing import DEFAULT_CHUNK_PIXELS, RoutedPhoto, Routing, route_photo
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.data.segmentation import find_segmentation, labelled_pixels
from adaptive_nerf.data.tensor_files import save_tensors, zipped_tensor_bytes
from adaptive_nerf.geometry.boxes import Box, global_box
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import Array

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Work:
    """How the work is done; the result is the same for all of these."""

    jobs: int = 1
    chunk_pixels: int = DEFAULT_CHUNK_PIXELS
    resume: bool = False  # a finished partition of the same inputs is no error; an unfinished one goes on in any case
    force: bool = False

    def __post_init__(self) -> None:
        for flag, number in (("--jobs", self.jobs), ("--chunk_pixels", self.chunk_pixels)):
            if number < 1:
                raise BadUsage(f"{flag} is {number}: 1 or more")


@dataclass(frozen=True)
class Report:
    partition: Partition
    photos_made: int
    photos_kept: int  # from an earlier run
    expert_pixel_pct: tuple[float, ...] | None  # None where nothing was to be done

    @property
    def was_there(self) -> bool:
        return self.expert_pixel_pct is None


def partition_folder(scene: Scene, name: str) -> Path:
    """The folder of a partition's plain name."""
    if not NAME.fullmatch(name):
        raise BadUsage(f"--output {name!r} is not a plain name (letters, digits, . _ -); "
                       f"the partition is written to {scene.root / MASKS}/<name>")
    return scene.root / MASKS / name


def create_clusters(scene: Scene, settings: PartitionSettings, output: Path, work: Work = Work(),
                    segmentation: Path | None = None) -> Report:
    """Write masks, parameters and boxes of all train and val photos into the folder `output`."""
    labels = find_segmentation(segmentation, scene.photos) if segmentation else {}
    if labels and len(labels) < len(scene.photos):
        say(f"warning: {segmentation} has no labels for {len(scene.photos) - len(labels)} of {len(scene.photos)} "
            "photos; those count whole")
    routing = routing_of(scene, settings)
    inputs = recorded_inputs(scene, settings, labels)
    partial = partial_folder(output)
    if output.exists() and work.resume and _is_up_to_date(output, inputs, work.force):
        if partial.exists():  # an older partition that was being replaced when its run was killed
            with locked_folder(partial):
                shutil.rmtree(partial)
        return Report(_existing(scene, output), 0, len(scene.photos), None)
    refuse_existing(output, work.force, PARAMS)
    with locked_folder(partial):
        kept = _kept(partial, inputs, settings.n_experts)
        todo = [photo for photo in scene.photos if photo.stem not in kept]
        make = bound(_make_masks, partial, routing, labels, work.chunk_pixels)
        with (partial / JOURNAL).open("a") as journal:
            for record in track(in_processes(make, todo, work.jobs), len(todo), "photos"):
                kept[record.stem] = record
                journal.write(journal_line(record))
                journal.flush()
        records = [kept[photo.stem] for photo in scene.photos]
        result = _whole(scene, settings, routing, records, output)
        _write_summary(result, partial)
        publish_folder(partial, output, work.force, [partial / JOURNAL])
    pixels = sum(photo.width * photo.height for photo in scene.photos)
    shares = np.sum([record.pixels for record in records], axis=0) * 100 / pixels
    return Report(result, len(todo), len(records) - len(todo), tuple(map(float, shares)))


def routing_of(scene: Scene, settings: PartitionSettings) -> Routing:
    positions = np.stack([photo.c2w_scene[:, 3] for photo in scene.photos])
    if settings.centroid_mode == "kmeans":
        centroids = kmeans_centroids(positions, settings.n_experts, settings.cluster_2d, settings.seed)
    else:
        centroids = grid_centroids(positions, settings.grid_dim)
    scale = scene.frame.metres_per_unit
    return Routing(centroids, settings.boundary_margin, settings.cluster_2d,
                   global_box(scene.frame, settings.scene_scale, settings.altitude_pad_m), settings.ray_samples,
                   settings.center_pixels,
                   None if settings.near_m is None else settings.near_m / scale,
                   None if settings.far_m is None else settings.far_m / scale)


def _is_up_to_date(output: Path, inputs: Mapping[str, Any], force: bool) -> bool:
    recorded = read_inputs(output)
    changes = ["it does not say what it was made from"] if recorded is None else differences(recorded, inputs)
    if changes and not force:
        raise BadUsage(f"{output} is another partition ({'; '.join(changes)}); "
                       "choose another name, or replace it with --force")
    return not changes


def _existing(scene: Scene, output: Path) -> Partition:
    partition = open_partition(scene, output)
    if partition.warnings:
        raise BadData(output, f"is incomplete ({partition.warnings[0]})", expected="--force to make it anew")
    return partition


def _kept(partial: Path, inputs: Mapping[str, Any], n_experts: int) -> dict[str, PhotoRecord]:
    """What an unfinished run of the same inputs did. Without its journal it is what a killed --force left behind."""
    recorded = read_inputs(partial)
    changes = differences(recorded, inputs) if recorded else []
    if recorded and not changes and (partial / JOURNAL).exists():
        kept = finished_photos(partial, n_experts)
        say(f"going on with an unfinished run: {len(kept)} photos are done")
        return kept
    if changes:
        say(f"an unfinished run is given up ({'; '.join(changes)})")
    start_over(partial, inputs, n_experts)
    return {}


def _make_masks(partial: Path, routing: Routing, labels: Mapping[str, Path], chunk_pixels: int,
                photo: Photo) -> PhotoRecord:
    """One worker's piece: route a photo, write its masks, tell its statistics."""
    routed = route_photo(photo.camera(1.0), routing, _allowed(photo, labels.get(photo.stem)), chunk_pixels)
    checksums = []
    for expert, mask in enumerate(routed.masks):
        path = partial / str(expert) / f"{photo.stem}.pt"
        content = zipped_tensor_bytes(path.name, torch.from_numpy(mask))
        write_bytes(path, content, durable=False)  # its checksum is on record, and the folder is synced as a whole
        checksums.append(zlib.crc32(content))
    return _record(photo.stem, checksums, routed)


def _record(stem: str, checksums: list[int], routed: RoutedPhoto) -> PhotoRecord:
    pixels = routed.masks.sum(axis=(1, 2), dtype=np.int64).tolist()
    return PhotoRecord(stem, checksums, pixels, routed.counts.tolist(), routed.mins.tolist(), routed.maxs.tolist())


def _allowed(photo: Photo, labels: Path | None) -> np.ndarray | None:
    """The pixels that may belong to anybody; None means all."""
    masks = [] if photo.valid_path is None else [photo.valid_pixels()]
    masks += [] if labels is None else [labelled_pixels(labels, photo.width, photo.height)]
    return np.logical_and.reduce(masks) if masks else None


def _whole(scene: Scene, settings: PartitionSettings, routing: Routing, records: list[PhotoRecord],
           output: Path) -> Partition:
    """The sum over all photos. Boxes have the whole range of X, and their margin."""
    counts = np.sum([record.counts for record in records], axis=0, dtype=np.int64)
    _require_samples(scene, counts, routing.centroids, partial_folder(output))
    lows = np.min([record.mins for record in records], axis=0)
    highs = np.max([record.maxs for record in records], axis=0)
    lows[:, 0], highs[:, 0] = routing.box.low[0], routing.box.high[0]
    margin = settings.box_margin_m / scene.frame.metres_per_unit
    boxes = tuple(Box(low, high).grown(margin).clamped_to(routing.box) for low, high in zip(lows, highs, strict=True))
    return Partition(folder=output, centroids=routing.centroids, boxes=boxes, global_box=routing.box, counts=counts,
                     grid_dim=settings.grid_dim, centroid_mode=settings.centroid_mode,
                     cluster_2d=settings.cluster_2d, boundary_margin=settings.boundary_margin,
                     ray_samples=settings.ray_samples, scene_scale=settings.scene_scale,
                     near_far_override_m=(settings.near_m, settings.far_m))


def _require_samples(scene: Scene, counts: np.ndarray, centroids: Array, partial: Path) -> None:
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return
    shutil.rmtree(partial)
    to_enu = scene.frame.convert(FrameName.SCENE, FrameName.ENU)
    places = ", ".join(f"expert {expert} at East {east:.1f} m, North {north:.1f} m"
                       for expert, (east, north, _) in zip(empty, to_enu.points(centroids[empty]), strict=True))
    raise BadUsage(f"no ray of any photo has a sample for {places}; "
                   "use fewer experts, a greater --boundary_margin, or check --scene_scale, --near and --far")


def _write_summary(partition: Partition, partial: Path) -> None:
    save_tensors(partial / PARAMS, params_dict(partition))
    save_tensors(partial / BOXES, boxes_dict(partition))
    write_text(partial / BOXES_TEXT, boxes_text(partition))
