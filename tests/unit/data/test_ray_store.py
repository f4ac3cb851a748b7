import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.ray_store import LoadedPhoto, RayStore, load_photo, load_photos
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.valid_borders import mask_png
from adaptive_nerf.geometry.rays import camera_rays
from tests.unit.data.scene_factory import FRAME, camera_at, change_metadata, write_scene
from tests.unit.geometry.strategies import cameras


def photo_in_memory(camera, seed=0, valid=None) -> LoadedPhoto:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (camera.height, camera.width, 3)).astype(np.uint8)
    return LoadedPhoto(None, camera, rgb, np.ones(rgb.shape[:2], bool) if valid is None else valid)


def sizes_of_two(seed=0) -> RayStore:
    large, small = camera_at(0, 0), camera_at(30, 5).resized(20, 15)
    return RayStore([photo_in_memory(large, seed), photo_in_memory(small, seed + 1)])


@pytest.fixture
def scene(tmp_path):
    return open_scene(write_scene(tmp_path / "scene"))


def repaint(photo, rgb) -> None:
    Image.fromarray(rgb).save(photo.image_path, "PNG")


def noise(height, width) -> np.ndarray:
    return np.random.default_rng(3).integers(100, 140, (height, width, 3)).astype(np.uint8)


@given(st.lists(cameras.filter(lambda camera: not camera.is_orthographic), min_size=1, max_size=3))
def test_rays_are_those_of_the_cameras(found):
    found = [camera.resized(16, 12) for camera in found]
    batch = RayStore([photo_in_memory(camera) for camera in found]).rays(torch.arange(16 * 12 * len(found)))
    expected = [camera_rays(camera) for camera in found]
    np.testing.assert_allclose(batch.directions, np.concatenate([rays.directions for rays in expected]), atol=1e-5)
    np.testing.assert_allclose(batch.origins, np.concatenate([rays.origins for rays in expected]), rtol=1e-6, atol=1e-5)


def test_photos_of_several_sizes_lie_one_after_the_other_with_their_colours():
    store = sizes_of_two()
    pixels = torch.tensor([0, 33, 32 * 24 - 1, 32 * 24, 32 * 24 + 20 * 3 + 7])
    batch = store.rays(pixels)
    assert batch.photos.tolist() == [0, 0, 0, 1, 1]
    first, second = (loaded.rgb for loaded in store.photos)
    expected = [first[0, 0], first[1, 1], first[23, 31], second[0, 0], second[3, 7]]
    np.testing.assert_allclose(batch.colours, np.array(expected) / 255, atol=1e-6)
    assert len(batch) == 5


def test_every_picture_is_in_memory_once_and_as_it_was_given():
    given = [photo_in_memory(camera_at(0, 0)), photo_in_memory(camera_at(30, 5).resized(20, 15), 1)]
    store = RayStore(given)
    flat = store.rays(torch.arange(len(store.valid))).colours
    for mine, theirs in zip(store.photos, given, strict=True):
        np.testing.assert_array_equal(mine.rgb, theirs.rgb)
        np.testing.assert_array_equal(mine.valid, theirs.valid)
    store.photos[1].rgb[2, 3] = 255 - store.photos[1].rgb[2, 3]
    changed = (store.rays(torch.arange(len(store.valid))).colours != flat).any(1)
    assert changed.nonzero()[:, 0].tolist() == [32 * 24 + 2 * 20 + 3]


def test_masked_pixels_are_in_no_pool():
    valid = np.random.default_rng(1).random((24, 32)) > 0.3
    store = RayStore([photo_in_memory(camera_at(0, 0)), photo_in_memory(camera_at(9, 0), valid=valid)])
    np.testing.assert_array_equal(store.pool([1]), np.flatnonzero(valid) + 24 * 32)
    assert len(store.pool([0, 1])) == 24 * 32 + valid.sum()
    assert len(store.pool([])) == 0


def test_a_pool_holds_the_allowed_pixels_alone():
    store = sizes_of_two()
    allowed = torch.zeros(len(store.valid), dtype=torch.bool)
    allowed[[5, 800]] = True
    assert store.pool([0, 1], allowed).tolist() == [5, 800]
    assert store.pool([0], allowed).tolist() == [5]


def test_a_black_frame_is_found_and_told(scene):
    photo = scene.photos[0]
    rgb = noise(24, 32)
    rgb[:, :5] = 0
    repaint(photo, rgb)
    loaded = load_photo(photo, 1.0, FRAME.metres_per_unit)
    assert loaded.borders_found
    assert not loaded.valid[:, :7].any()
    assert loaded.valid[:, 9:].all()


def test_a_photo_without_a_frame_is_valid_all_over_and_nothing_is_told(scene):
    loaded = load_photo(scene.photos[1], 1.0, FRAME.metres_per_unit)
    assert loaded.valid.all()
    assert not loaded.borders_found


def test_the_mask_that_a_scene_brings_wins(tmp_path):
    root = write_scene(tmp_path / "scene")
    rgb = noise(24, 32)
    rgb[:, :5] = 0
    repaint(open_scene(root).photos[0], rgb)
    given_valid = np.ones((24, 32), bool)
    given_valid[20:] = False
    (root / "val" / "valid").mkdir()
    (root / "val" / "valid" / "000000.png").write_bytes(mask_png(given_valid))
    loaded = load_photo(open_scene(root).photos[0], 1.0, FRAME.metres_per_unit)
    assert loaded.valid[:18].all()
    assert not loaded.valid[20:].any()
    assert not loaded.borders_found


def test_a_picture_of_another_shape_than_its_metadata_is_refused(scene):
    change_metadata(scene.root, "000001", H=60)
    photo = open_scene(scene.root).photos[1]
    with pytest.raises(BadData, match=r"000001\.jpg.*another shape"):
        load_photo(photo, 1.0, FRAME.metres_per_unit)


def test_a_smaller_photo_sees_the_same_with_fewer_pixels(scene):
    photo = scene.photos[2]
    rgb = noise(24, 32)
    rgb[:, 16:] //= 2
    repaint(photo, rgb)
    loaded = load_photo(photo, 0.5, FRAME.metres_per_unit)
    assert loaded.rgb.shape == (12, 16, 3)
    assert loaded.rgb[:, :7].mean() == pytest.approx(120, abs=2)
    assert loaded.rgb[:, 9:].mean() == pytest.approx(60, abs=2)
    whole = camera_rays(photo.camera(FRAME.metres_per_unit), np.array([[0.0, 0.0], [32.0, 24.0]]))
    half = camera_rays(loaded.camera, np.array([[0.0, 0.0], [16.0, 12.0]]))
    np.testing.assert_allclose(half.directions, whole.directions, atol=1e-12)


def test_resizing_takes_the_smear_at_a_border_away_too(scene):
    photo = scene.photos[0]
    rgb = np.full((24, 32, 3), 120, np.uint8)
    rgb[:, :6] = 0
    repaint(photo, rgb)
    loaded = load_photo(photo, 0.5, FRAME.metres_per_unit)
    assert 0 < loaded.valid.sum() < loaded.valid.size
    assert np.abs(loaded.rgb[loaded.valid].astype(int) - 120).max() <= 2


def test_a_picture_stored_smaller_than_its_metadata_says_keeps_the_camera(scene):
    photo = scene.photos[2]
    repaint(photo, noise(12, 16))
    loaded = load_photo(photo, 0.5, FRAME.metres_per_unit)
    np.testing.assert_array_equal(loaded.rgb, noise(12, 16))
    assert (loaded.camera.fx, loaded.camera.width) == (15.0, 16)


def test_photos_come_in_their_order(scene):
    loaded = list(load_photos(scene.photos, 0.5, FRAME.metres_per_unit))
    assert [found.photo.photo_id for found in loaded] == [0, 1, 2, 3, 4, 5]
    assert RayStore(loaded).photo_ids == (0, 1, 2, 3, 4, 5)


def test_the_real_flight_leaves_its_borders_out(real_flight):
    photos = open_scene(real_flight).photos[:4]
    for loaded in load_photos(photos, 0.5, 1.0):
        assert loaded.borders_found
        assert 0.01 < (~loaded.valid).mean() < 0.12
        assert loaded.rgb[loaded.valid].max(1).min() > 0
