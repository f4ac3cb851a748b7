import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adaptive_nerf.common.errors import BadUsage, OutputExists
from adaptive_nerf.data.clusters import create_clusters, partition_folder
from adaptive_nerf.data.expert_colours import expert_colours, striped
from adaptive_nerf.data.ground_mosaic import ground_mosaic
from adaptive_nerf.data.overlays import contact_sheet, overlay
from adaptive_nerf.data.partition import PartitionSettings
from adaptive_nerf.data.partition_map import partition_map
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.visualize import draw_partition
from tests.unit.data.scene_factory import camera_at, save_zipped_tensor, write_photo, write_scene


@pytest.fixture
def scene(tmp_path):
    return open_scene(write_scene(tmp_path / "scene"))


@pytest.fixture
def partition(scene):
    settings = PartitionSettings((1, 3, 1), cluster_2d=True, boundary_margin=1.3, scene_scale=1.0)
    return create_clusters(scene, settings, partition_folder(scene, "three")).partition


def test_the_first_thirty_colours_are_distinct():
    assert len(np.unique(expert_colours(30), axis=0)) == 30


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_stripes_show_only_colours_of_those_who_claim_the_pixel(count, seed):
    claims = np.random.default_rng(seed).random((count, 12, 15)) < 0.5
    colours, n_claims = striped(claims, 2)
    np.testing.assert_array_equal(n_claims, claims.sum(0))
    for row, column in zip(*np.nonzero(n_claims), strict=True):
        own = expert_colours(count)[claims[:, row, column]]
        assert (own == colours[row, column]).all(1).any()


def test_every_claimant_of_a_shared_region_is_seen_in_equal_parts():
    colours, _ = striped(np.ones((3, 36, 36), bool), 3)
    shares = [(colours == colour).all(-1).mean() for colour in expert_colours(3)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)


def test_the_mosaic_puts_a_photo_where_it_looks(tmp_path):
    root = write_scene(tmp_path / "scene", count=1)
    (root / "val" / "rgbs" / "000000.jpg").unlink()
    half = np.zeros((24, 32, 3), np.uint8)
    half[:, 16:] = 255  # white to the right: the photo is upright to the North, so in the East
    Image.fromarray(half).save(root / "val" / "rgbs" / "000000.png")
    grey = ground_mosaic(open_scene(root), np.array([-200.0, -20, 20, 200]), np.array([-10.0, 10]), -10.0)
    np.testing.assert_array_equal(grey, [[np.nan, 0, 1, np.nan]] * 2)


def test_the_map_is_a_png_and_the_same_each_time(scene, partition):
    first = partition_map(scene, partition)
    assert Image.open(io.BytesIO(first)).size == (1625, 1196)
    assert partition_map(scene, partition) == first


def test_an_overlay_darkens_what_is_nobodys_and_tints_the_rest_in_its_experts_colour(scene, partition):
    mask = torch.zeros(24, 32, dtype=torch.bool)
    for expert in range(3):
        mask[12:] = expert == 1
        save_zipped_tensor(partition.mask_path(expert, "000000"), mask)
    picture = np.asarray(overlay(scene.photos[0], partition).picture).astype(int)
    assert picture.shape[0] > 720  # a caption
    assert picture[100, 480].max() < 40
    red, _, blue = picture[600, 480]
    assert red > blue + 50  # expert 1 is orange, the photo blue


def test_a_sheet_holds_all_overlays(scene, partition):
    overlays = [overlay(photo, partition) for photo in scene.photos[:5]]
    assert contact_sheet(overlays).width == 3 * 490 + 10


def test_pictures_are_drawn_once_unless_forced(scene, partition, tmp_path):
    output = tmp_path / "pictures"
    made = draw_partition(scene, partition, output, 2)
    assert [str(path.relative_to(output)) for path in made] == [
        "contact_sheet.jpg", "map.png", "overlays/000000.jpg", "overlays/000005.jpg"]
    with pytest.raises(OutputExists):
        draw_partition(scene, partition, output, 2)
    assert len(draw_partition(scene, partition, output, 0, force=True)) == 1
    with pytest.raises(BadUsage):
        draw_partition(scene, partition, tmp_path / "more", -1)


def test_a_partition_without_masks_has_a_map_alone_and_says_so(scene, partition, tmp_path, capsys):
    for path in partition.folder.glob("*/*.pt"):
        path.unlink()
    assert [path.name for path in draw_partition(scene, partition, tmp_path / "pictures", 5)] == ["map.png"]
    assert f"no photo of the scene has masks in {partition.folder}, so no photo is drawn" in capsys.readouterr().err


def test_photos_without_masks_are_left_out(scene, partition, tmp_path):
    write_photo(scene.root / "train", 6, camera_at(60.0, 0.0))
    made = draw_partition(open_scene(scene.root), partition, tmp_path / "pictures", 100)
    assert sum(path.parent.name == "overlays" for path in made) == 6
