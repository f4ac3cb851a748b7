import json

import numpy as np
import pytest

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.ground_truth import GroundTruth, any_at_size, depth_at_size


def plane(width, height, slope=0.3):
    """Depth of a plane that tilts away, at pixel centres: 1/depth is linear."""
    x = (np.arange(width) + 0.5) / width
    return np.broadcast_to(1 / (0.02 - 0.01 * slope * x), (height, width)).astype(np.float32)


@pytest.mark.parametrize("size", [(32, 24), (16, 12), (21, 16)])
def test_a_plane_stays_the_same_plane_at_any_size(size):
    got = depth_at_size(plane(64, 48), *size)
    assert got.shape == size[::-1]
    np.testing.assert_allclose(got, plane(*size), rtol=1e-5)


def test_at_an_edge_no_surface_is_invented():
    depth = np.full((8, 8), 50, np.float32)
    depth[:, 5:] = 80
    assert set(np.unique(depth_at_size(depth, 4, 4))) == {50.0, 80.0}


def test_where_nothing_is_seen_stays_nothing():
    depth = np.full((4, 4), np.nan, np.float32)
    depth[:2] = 30
    got = depth_at_size(depth, 4, 4)
    np.testing.assert_array_equal(got, depth)


def test_a_pixel_changed_if_any_part_of_it_did():
    mask = np.zeros((100, 100), bool)
    mask[41, 77] = True
    got = any_at_size(mask, 10, 10)
    assert got[4, 7]
    assert got.sum() == 1


def test_photos_are_known_by_name_in_both_flights(tmp_path):
    for flight, name, depth_m in (("truth", "a.jpg", 10), ("event/truth", "b.jpg", 20)):
        folder = tmp_path / flight
        folder.mkdir(parents=True)
        (folder / "metadata.json").write_text(json.dumps({"photos": [
            {"image": name, "depth": "000_depth.npy", "change": "000_change.npy"}]}))
        np.save(folder / "000_depth.npy", np.full((4, 6), depth_m, np.float32))
        np.save(folder / "000_change.npy", np.zeros((4, 6), bool))
    truth = GroundTruth.beside(tmp_path)
    assert (truth.of("a.jpg", 6, 4).depth_m == 10).all()
    assert (truth.of("b.jpg", 3, 2).depth_m == 20).all()
    assert not truth.of("b.jpg", 3, 2).changed.any()
    assert truth.of("c.jpg", 6, 4) is None
    assert GroundTruth.beside(tmp_path / "elsewhere").of("a.jpg", 6, 4) is None


def test_damaged_truth_is_named(tmp_path):
    folder = tmp_path / "truth"
    folder.mkdir()
    (folder / "metadata.json").write_text('{"photos": [{"image": "a.jpg", "depth": "000_depth.npy"}]}')
    (folder / "000_depth.npy").write_text("no array")
    with pytest.raises(BadData, match=r"000_depth\.npy"):
        GroundTruth.beside(tmp_path).of("a.jpg", 6, 4)
    (folder / "metadata.json").write_text("[]")
    with pytest.raises(BadData, match=r"metadata\.json"):
        GroundTruth.beside(tmp_path)
