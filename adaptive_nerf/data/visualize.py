"""visualize_clusters: the pictures of a partition, in a folder that is whole or absent."""

import shutil
from pathlib import Path

import numpy as np

from adaptive_nerf.common.atomic_files import (
    locked_folder,
    partial_folder,
    publish_folder,
    refuse_existing,
    write_bytes,
)
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.common.progress import track
from adaptive_nerf.common.say import say
from adaptive_nerf.data.overlays import contact_sheet, jpeg_bytes, overlay
from adaptive_nerf.data.partition import Partition
from adaptive_nerf.data.partition_map import partition_map
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene

MAP, SHEET = "map.png", "contact_sheet.jpg"


def draw_partition(scene: Scene, partition: Partition, output: Path, n_photos: int, force: bool = False) -> list[Path]:
    """A map, overlays of some photos, and a sheet of them all; the files made."""
    if n_photos < 0:
        raise BadUsage(f"--photos is {n_photos}: 0 or more")
    refuse_existing(output, force, MAP)
    photos = evenly_spaced(scene, partition, n_photos)
    if n_photos and not photos:
        say(f"warning: no photo of the scene has masks in {partition.folder}, so no photo is drawn")
    partial = partial_folder(output)
    with locked_folder(partial):
        for path in partial.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_bytes(partial / MAP, partition_map(scene, partition))
        if photos:
            (partial / "overlays").mkdir()
            made = []
            for photo in track(photos, len(photos), "overlays"):
                made.append(overlay(photo, partition))
                write_bytes(partial / "overlays" / f"{photo.stem}.jpg", jpeg_bytes(made[-1].picture))
            write_bytes(partial / SHEET, jpeg_bytes(contact_sheet(made)))
        publish_folder(partial, output, force)
    return sorted(path for path in output.rglob("*") if path.is_file())


def evenly_spaced(scene: Scene, partition: Partition, count: int) -> list[Photo]:
    """So many photos that have masks, spread over the flight."""
    masked = [photo for photo in scene.photos if partition.has_masks_of(photo.stem)]
    places = np.linspace(0, len(masked) - 1, min(count, len(masked))).round().astype(int)
    return [masked[place] for place in places]
