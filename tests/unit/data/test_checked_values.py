"""Whatever stands under a key of a prepared scene's files: it is understood, or refused with file and key."""

import re

import numpy as np
import pytest
import torch

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.checked_values import numbers, scalar, whole_number, yes_or_no
from adaptive_nerf.data.clusters import create_clusters, partition_folder
from adaptive_nerf.data.masks import load_mask, open_partition
from adaptive_nerf.data.partition import PartitionSettings
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.tensor_files import save_tensors
from tests.unit.data.scene_factory import change_metadata, write_scene

BAD = {
    "none": None, "text": "abc", "digits": "3", "empty": [], "nan": float("nan"), "inf": float("inf"),
    "ragged": [[1.0, 2.0], [3.0]], "texts": ["1", "2", "3"], "dict": {"a": 1}, "complex": 1j, "huge": 10 ** 400,
    "beyond": 1e300, "nans": torch.full((3,), torch.nan), "bfloat16": torch.ones(3, dtype=torch.bfloat16),
    "grown": torch.ones(3, requires_grad=True), "sparse": torch.eye(3).to_sparse(), "cube": torch.zeros(2, 2, 2),
    "none left": torch.zeros(0, 3), "lines": torch.arange(4000.0).view(40, 100) / 7,
}
ANY_TEXT, LARGE_IS_FINE = {"text", "digits"}, {"beyond"}
FITS = {"centroid_mode": ANY_TEXT, "captured_at": ANY_TEXT | {"none"}, "camera_id": {"none"},
        "enu_ref_coords": {"none"}, "near_far_override_m": {"none"}, "pose_scale_factor": LARGE_IS_FINE,
        "boundary_margin": LARGE_IS_FINE, "scene_scale": LARGE_IS_FINE}


@pytest.fixture(scope="module")
def scene_root(tmp_path_factory):
    root = write_scene(tmp_path_factory.mktemp("scene") / "scene", count=2)
    scene = open_scene(root)
    create_clusters(scene, PartitionSettings((1, 2, 1), scene_scale=2.0), partition_folder(scene, "two"))
    return root


def opened(root):
    return open_partition(open_scene(root), "two")


def expect_refusal(root, path, key, bad):
    whole = path.read_bytes()
    save_tensors(path, {**torch.load(path, weights_only=True), key: BAD[bad]})
    try:
        if bad in FITS.get(key, ()):
            opened(root)
            return
        with pytest.raises(BadData, match=f"{path.name}: key '{key}': ") as refusal:
            opened(root)
        assert "\n" not in str(refusal.value)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("key", ["H", "W", "c2w", "intrinsics", "captured_at", "camera_id"])
def test_bad_metadata_is_refused_by_name(scene_root, key, bad):
    expect_refusal(scene_root, scene_root / "train" / "metadata" / "000001.pt", key, bad)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("key", ["origin_drb", "altitude_range_enu", "pose_scale_factor", "enu_ref_coords"])
def test_bad_coordinates_are_refused_by_name(scene_root, key, bad):
    expect_refusal(scene_root, scene_root / "coordinates.pt", key, bad)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("key", ["format_version", "centroids", "grid_dim", "centroid_mode", "cluster_2d",
                                 "boundary_margin", "ray_samples", "scene_scale", "near_far_override_m"])
def test_bad_parameters_are_refused_by_name(scene_root, key, bad):
    expect_refusal(scene_root, scene_root / "masks" / "two" / "params.pt", key, bad)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("key", ["format_version", "centroids", "mins", "maxs", "aabb_global", "counts"])
def test_bad_boxes_are_refused_by_name(scene_root, key, bad):
    expect_refusal(scene_root, scene_root / "masks" / "two" / "scene_boxes.pt", key, bad)


@pytest.mark.parametrize("key", ["H", "c2w"])
def test_a_missing_key_is_named(tmp_path, key):
    root = write_scene(tmp_path / "scene", count=2)
    path = change_metadata(root, "000001")
    save_tensors(path, {name: value for name, value in torch.load(path).items() if name != key})
    with pytest.raises(BadData, match=f"key '{key}': is missing"):
        open_scene(root)


@pytest.mark.parametrize("mask", [torch.ones(24, 32, dtype=torch.bfloat16), torch.ones(24, 32, requires_grad=True),
                                  torch.ones(24, 32).to_sparse(), torch.ones(24, 32) * 1j])
def test_a_mask_of_strange_numbers_is_refused(tmp_path, mask):
    save_tensors(tmp_path / "000001.pt", mask)
    with pytest.raises(BadData, match=r"000001\.pt: is tensor.*expected a tensor of plain numbers"):
        load_mask(tmp_path / "000001.pt", 32, 24)


@pytest.mark.parametrize("given", [2, 2.0, [2], [[2]], torch.tensor(2), np.float32(2), torch.tensor([2.0]).half()])
def test_one_number_is_understood_in_any_wrapping(tmp_path, given):
    value = {"n": given}
    assert whole_number(value, "n", tmp_path, least=1) == 2
    assert scalar(value, "n", tmp_path) == 2.0
    assert numbers({"n": [given] * 3}, "n", (3,), tmp_path).tolist() == [2, 2, 2]


@pytest.mark.parametrize(("given", "meant"), [(True, True), (0, False), (torch.tensor(True), True), ("yes", None),
                                              (2, None), (None, None), (0.5, None)])
def test_yes_or_no(tmp_path, given, meant):
    if meant is not None:
        assert yes_or_no({"flag": given}, "flag", tmp_path) is meant
        return
    with pytest.raises(BadData, match=re.escape(f"key 'flag': is {given!r}; expected True or False")):
        yes_or_no({"flag": given}, "flag", tmp_path)
