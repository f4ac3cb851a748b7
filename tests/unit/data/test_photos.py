import errno

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.scene import open_scene
from tests.unit.data.scene_factory import write_scene


@pytest.fixture
def scene_root(tmp_path):
    return write_scene(tmp_path / "scene")


def write_valid(scene_root, size):
    folder = scene_root / "train" / "valid"
    folder.mkdir()
    mask = Image.new("L", size, 255)
    mask.putpixel((0, 0), 0)
    mask.save(folder / "000001.png")


def test_a_photo_has_its_pixels_and_all_are_valid_without_a_mask(scene_root):
    photo = open_scene(scene_root).photos[1]
    assert photo.pixels().shape == (24, 32, 3)
    assert photo.valid_pixels().all()


def test_a_valid_mask_is_honoured(scene_root):
    write_valid(scene_root, (32, 24))
    valid = open_scene(scene_root).photos[1].valid_pixels()
    assert np.argwhere(~valid).tolist() == [[0, 0]]


def test_a_valid_mask_of_another_size_is_refused_by_name(scene_root):
    write_valid(scene_root, (24, 32))
    with pytest.raises(BadData, match=r"valid/000001\.png: is 24x32; expected 32x24"):
        open_scene(scene_root).photos[1].valid_pixels()


def test_a_grey_photo_of_16_bits_keeps_its_shades(scene_root):
    path = scene_root / "train" / "rgbs" / "000001.jpg"
    shades = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 85
    Image.fromarray(shades).save(path.with_suffix(".png"))
    path.unlink()
    pixels = open_scene(scene_root).photos[1].pixels()
    np.testing.assert_array_equal(pixels, np.rint(shades / 257).astype(np.uint8)[..., None].repeat(3, -1))


def test_a_photo_whose_white_nobody_tells_is_refused(scene_root):
    path = scene_root / "train" / "rgbs" / "000001.jpg"
    Image.fromarray(np.full((24, 32), 70000, np.int32)).save(path, "TIFF")
    with pytest.raises(BadData, match="is not a readable picture; expected a JPEG or PNG, 8 or 16 bits"):
        open_scene(scene_root).photos[1].pixels()


def test_a_valid_mask_of_16_bits_counts_its_smallest_value(scene_root):
    write_valid(scene_root, (32, 24))
    mask = np.ones((24, 32), np.uint16)
    mask[0, 0] = 0
    Image.fromarray(mask).save(scene_root / "train" / "valid" / "000001.png")
    assert np.argwhere(~open_scene(scene_root).photos[1].valid_pixels()).tolist() == [[0, 0]]


def test_a_photo_that_is_a_text_file_is_named(scene_root):
    (scene_root / "train" / "rgbs" / "000001.jpg").write_text("hello")
    with pytest.raises(BadData, match=r"000001\.jpg: is not a readable picture; expected a JPEG or PNG"):
        open_scene(scene_root).photos[1].pixels()


@pytest.mark.parametrize(("error", "told"), [
    (PermissionError(errno.EACCES, "Permission denied"), r"000001\.jpg: cannot be read: permission denied$"),
    (OSError(errno.EIO, "Input/output error"), r"000001\.jpg: cannot be read: input/output error$"),
    (OSError("image file is truncated"), r"000001\.jpg: is not a readable picture")])
def test_what_the_system_refuses_is_not_told_as_a_damaged_photo(scene_root, monkeypatch, error, told):
    photo = open_scene(scene_root).photos[1]
    monkeypatch.setattr(Image, "open", raising(error))
    with pytest.raises(BadData, match=told):
        photo.pixels()


def test_a_want_of_memory_is_not_told_as_a_damaged_photo(scene_root, monkeypatch):
    photo = open_scene(scene_root).photos[1]
    monkeypatch.setattr(Image, "open", raising(MemoryError()))
    with pytest.raises(MemoryError):
        photo.pixels()


def raising(error):
    def fail(path):
        raise error
    return fail


def test_a_picture_of_the_largest_aerial_cameras_is_no_bomb():
    assert Image.MAX_IMAGE_PIXELS > 26_460 * 17_004


def test_a_truncated_photo_is_named(scene_root):
    path = scene_root / "train" / "rgbs" / "000001.jpg"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(BadData, match=r"000001\.jpg: is not a readable picture"):
        open_scene(scene_root).photos[1].pixels()
