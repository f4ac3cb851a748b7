"""A small town, prepared and partitioned into four experts, with a later flight after a collapse."""

from __future__ import annotations

from pathlib import Path

from adaptive_nerf.data.clusters import create_clusters, partition_folder
from adaptive_nerf.data.frame_choice import FrameSettings
from adaptive_nerf.data.masks import open_partition
from adaptive_nerf.data.partition import PartitionSettings
from adaptive_nerf.data.prepare import PrepareSettings, prepare_scene
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.update import UpdateSettings, update_scene
from adaptive_nerf.synth.town import TownRequest, make_town, world
from tests.support.town_backend import TownBackend

TOWN = TownRequest(size_m=(100.0, 80.0), photos=12, event_photos=4, resolution=(96, 72))
PARTITION, FLIGHT = "g22", "event"


def make_town_scene(folder: Path) -> Path:
    """Takes about 15 s. Returns the prepared scene."""
    town, scene = folder / "town", folder / "prepared"
    make_town(TOWN, town, jobs=2)
    prepare_scene(PrepareSettings(town, scene, 0.25, FrameSettings(ecef_to_enu=True)))
    settings = PartitionSettings((1, 2, 2), cluster_2d=True, scene_scale=2.0, center_pixels=True, ray_samples=32)
    opened = open_scene(scene)
    create_clusters(opened, settings, partition_folder(opened, PARTITION))
    update_scene(UpdateSettings(town / "event" / "model", town / "event" / "images", scene, FLIGHT))
    return scene


def town_backend(scene_folder: Path, job_folder: Path) -> TownBackend:
    """Builds the town before and after the event: some seconds."""
    scene = open_scene(scene_folder)
    return TownBackend(scene, open_partition(scene, PARTITION), (world(TOWN, False), world(TOWN, True)), job_folder)
