"""Our partition of a real flight against the one an earlier system made, with its parameters."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.clusters import Report, Work, create_clusters, routing_of
from adaptive_nerf.data.masks import mask_agreement_pct, open_partition
from adaptive_nerf.data.partition import PartitionSettings
from adaptive_nerf.data.routing import route_photo
from adaptive_nerf.data.scene import Scene, open_scene
from adaptive_nerf.data.tensor_files import load_zipped_tensor

SHIPPED = "g22_grid_bm110_ss11"
SETTINGS = PartitionSettings((1, 2, 2), cluster_2d=True, boundary_margin=1.1, ray_samples=256, center_pixels=True,
                             scene_scale=1.1)


@pytest.fixture(scope="module")
def flight(real_flight) -> Scene:
    return open_scene(real_flight)


@pytest.fixture(scope="module")
def ours(flight, tmp_path_factory) -> Report:
    return create_clusters(flight, SETTINGS, tmp_path_factory.mktemp("masks") / "ours", Work(jobs=usable_cores()))


def test_masks_agree_on_almost_every_pixel(flight, ours):
    some = replace(flight, photos=flight.photos[::12])
    assert mask_agreement_pct(ours.partition.folder, flight.root / "masks" / SHIPPED, some, n_experts=4) >= 99.95


def test_centroids_and_boxes_agree(flight, ours):
    made, shipped = ours.partition, open_partition(flight, SHIPPED)
    np.testing.assert_allclose(made.centroids, shipped.centroids, atol=1e-6)
    for box, theirs in zip((*made.boxes, made.global_box), (*shipped.boxes, shipped.global_box), strict=True):
        np.testing.assert_allclose([box.low, box.high], [theirs.low, theirs.high], atol=1e-4)


def test_routed_samples_agree_for_the_smaller_photos(flight, ours):
    shipped = open_partition(flight, SHIPPED)  # counted at 2048x1536, sixteen times as many pixels
    np.testing.assert_allclose(ours.partition.counts * 16, shipped.counts, rtol=1e-6)


def test_at_full_size_masks_are_the_same_to_the_last_pixel(flight):
    photo, routing = flight.photos[5], routing_of(flight, SETTINGS)
    routed = route_photo(photo.camera(1.0).resized(2048, 1536), routing)
    for expert, mask in enumerate(routed.masks):
        theirs = load_zipped_tensor(flight.root / "masks" / SHIPPED / str(expert) / f"{photo.stem}.pt")
        assert torch.equal(torch.from_numpy(mask), theirs)


def test_the_folder_with_statistics_alone_is_named(flight):
    with pytest.raises(BadData, match=r"g22_kmeans_bm105/params\.pt: is missing"):
        open_partition(flight, "g22_kmeans_bm105")
