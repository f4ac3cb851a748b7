import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, reject
from hypothesis import strategies as st
from PIL import Image

from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.data.clusters import create_clusters, partition_folder
from adaptive_nerf.data.masks import load_mask, mask_agreement_pct, open_partition
from adaptive_nerf.data.partition import PartitionSettings
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.segmentation import find_segmentation, labelled_pixels
from adaptive_nerf.data.tensor_files import save_tensors
from tests.unit.data.scene_factory import save_zipped_tensor, write_scene

MASK = torch.arange(48 * 64).reshape(48, 64) % 7 < 3


@pytest.fixture
def scene(tmp_path):
    return open_scene(write_scene(tmp_path / "scene"))


@pytest.fixture
def partition(scene):
    folder = partition_folder(scene, "two")
    return create_clusters(scene, PartitionSettings((1, 2, 1), cluster_2d=True, scene_scale=2.0), folder).partition


@pytest.mark.parametrize("save", [save_zipped_tensor, save_tensors])
@pytest.mark.parametrize("value", [MASK, MASK.ravel(), MASK.to(torch.uint8)])
def test_a_mask_is_read_zipped_or_plain_flat_or_not(tmp_path, save, value):
    save(tmp_path / "000000.pt", value)
    np.testing.assert_array_equal(load_mask(tmp_path / "000000.pt", 64, 48), MASK.numpy())


def test_a_larger_mask_is_resized_to_the_nearest_pixel_centre(tmp_path):
    save_zipped_tensor(tmp_path / "000000.pt", MASK)
    np.testing.assert_array_equal(load_mask(tmp_path / "000000.pt", 16, 12), MASK.numpy()[2::4, 2::4])


def test_a_flat_mask_of_another_size_has_the_shape_of_its_photo(tmp_path):
    save_zipped_tensor(tmp_path / "000000.pt", MASK.ravel())
    np.testing.assert_array_equal(load_mask(tmp_path / "000000.pt", 16, 12), MASK.numpy()[2::4, 2::4])


@given(st.integers(1, 70), st.integers(1, 70), st.floats(0.02, 1), st.booleans())
def test_a_flat_mask_serves_at_any_working_size_of_its_photo(tmp_path_factory, full_width, full_height, share, full):
    width, height = (max(1, round(side * share)) for side in (full_width, full_height))
    shape = (full_height, full_width) if full else (height, width)
    mask = torch.arange(shape[0] * shape[1]).reshape(shape) % 7 < 3
    folder = tmp_path_factory.mktemp("masks")
    save_zipped_tensor(folder / "flat.pt", mask.ravel())
    save_zipped_tensor(folder / "shaped.pt", mask)
    try:
        expected = load_mask(folder / "shaped.pt", width, height)
    except BadData:  # a photo so narrow that nothing is left of its shape
        reject()
    np.testing.assert_array_equal(load_mask(folder / "flat.pt", width, height, (full_width, full_height)), expected)


@pytest.mark.parametrize(("width", "height"), [(48, 64), (64, 64), (20, 12)])
def test_a_mask_of_another_aspect_ratio_is_refused_by_name(tmp_path, width, height):
    save_zipped_tensor(tmp_path / "000000.pt", MASK)
    with pytest.raises(BadData, match=r"000000\.pt: is 64x48, another aspect ratio"):
        load_mask(tmp_path / "000000.pt", width, height)


def test_a_flat_mask_that_fits_no_picture_is_refused(tmp_path):
    save_zipped_tensor(tmp_path / "000000.pt", torch.ones(1000, dtype=torch.bool))
    with pytest.raises(BadData, match="flat with 1000 pixels"):
        load_mask(tmp_path / "000000.pt", 64, 48)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_a_broken_mask_is_refused_by_name(tmp_path, content):
    (tmp_path / "000000.pt").write_bytes(content)
    with pytest.raises(BadData, match=r"000000\.pt: cannot be read"):
        load_mask(tmp_path / "000000.pt", 64, 48)


def test_a_partition_comes_back_as_it_was_made(scene, partition):
    read = open_partition(scene, "two")
    assert (read.name, read.n_experts, read.grid_dim, read.warnings) == ("two", 2, (1, 2, 1), ())
    np.testing.assert_allclose(read.centroids, partition.centroids, atol=1e-7)
    np.testing.assert_array_equal(read.counts, partition.counts)
    for box, made in zip(read.boxes, partition.boxes, strict=True):
        np.testing.assert_allclose([box.low, box.high], [made.low, made.high], atol=1e-6)


@pytest.mark.parametrize("name", ["params.pt", "scene_boxes.pt", "1"])
def test_a_partition_that_lacks_a_part_says_which(scene, partition, name):
    path = partition.folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BadData, match=rf"{name}: is missing"):
        open_partition(scene, "two")


def test_a_folder_with_statistics_alone_is_no_partition(scene):
    folder = scene.root / "masks" / "half"
    folder.mkdir(parents=True)
    (folder / "stats.txt").write_text("nothing")
    with pytest.raises(BadData, match=r"half/params\.pt: is missing, so this is no whole partition"):
        open_partition(scene, "half")


def test_an_unknown_partition_tells_those_that_are_there(scene, partition):
    with pytest.raises(BadData, match="one of: two"):
        open_partition(scene, "three")


def test_photos_without_a_mask_are_one_warning(scene, partition):
    partition.mask_path(1, "000002").unlink()
    (warning,) = open_partition(scene, "two").warnings
    assert "1 photos have no mask (000002 is the first)" in warning


@pytest.mark.parametrize(("changes", "problem"), [
    ({"format_version": 4}, "newer than this program"), ({"mins": torch.full((2, 3), torch.nan)}, "holds NaN"),
    ({"counts": torch.zeros(3)}, "has shape"), ({"centroids": torch.zeros(2, 3)}, "differs from params.pt")])
def test_boxes_that_make_no_sense_are_refused(scene, partition, changes, problem):
    path = partition.folder / "scene_boxes.pt"
    save_tensors(path, {**torch.load(path, weights_only=True), **changes})
    with pytest.raises(BadData, match=problem):
        open_partition(scene, "two")


def test_agreement_is_the_share_of_equal_pixels(scene, partition, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(partition.folder, other)
    assert mask_agreement_pct(partition.folder, other, scene, 2) == 100
    mask = load_mask(other / "0" / "000000.pt", 32, 24)
    mask[:, :8] ^= True
    save_zipped_tensor(other / "0" / "000000.pt", torch.from_numpy(mask.copy()))
    assert mask_agreement_pct(partition.folder, other, scene, 2) == pytest.approx(100 * (1 - 0.25 / 12))


def test_labels_are_found_by_id_or_by_name_and_zero_is_nobodys(scene, tmp_path):
    labels = np.zeros((24, 32), np.uint8)
    labels[:, 16:] = 3
    Image.fromarray(labels).save(tmp_path / "000001.png")
    palette = Image.fromarray(labels, "L").convert("P")
    palette.putdata(labels.ravel().tolist())
    palette.putpalette([255, 255, 255] * 256)  # label 0 is painted white: the index counts
    palette.save(tmp_path / "DJI, 2.png")
    found = find_segmentation(tmp_path, scene.photos)
    assert {stem: path.name for stem, path in found.items()} == {"000001": "000001.png", "000002": "DJI, 2.png"}
    for path in found.values():
        np.testing.assert_array_equal(labelled_pixels(path, 64, 48), np.arange(64)[None].repeat(48, 0) >= 32)


def test_labels_of_photos_with_one_name_go_by_their_folders(scene, tmp_path):
    first, second = (replace(photo, name=f"day{day}/DJI_0001.JPG") for day, photo in enumerate(scene.photos[:2], 1))
    Image.new("L", (32, 24)).save(tmp_path / "DJI_0001.png")
    with pytest.raises(BadUsage, match=r"DJI_0001\.png could be of day1/DJI_0001\.JPG and of day2/DJI_0001\.JPG"):
        find_segmentation(tmp_path, [first, second])
    (tmp_path / "day2").mkdir()
    Image.new("L", (32, 24)).save(tmp_path / "day2" / "DJI_0001.png")
    assert find_segmentation(tmp_path, [first, second]) == {"000000": tmp_path / "DJI_0001.png",
                                                            "000001": tmp_path / "day2" / "DJI_0001.png"}


def test_labels_of_another_shape_or_of_no_photo_are_refused(scene, tmp_path):
    with pytest.raises(BadData, match="no label picture of any photo"):
        find_segmentation(tmp_path, scene.photos)
    Image.new("L", (30, 30)).save(tmp_path / "000001.png")
    with pytest.raises(BadData, match=r"000001\.png: is 30x30, another aspect ratio"):
        labelled_pixels(tmp_path / "000001.png", 32, 24)
