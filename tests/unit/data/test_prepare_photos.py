"""Photos that are not quite what the model says: understood and said, or refused by name."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.colmap import read_model
from adaptive_nerf.data.photos import read_picture
from adaptive_nerf.data.source_photos import EXIF_IFD, EXIF_ORIENTATION, TURNS, find_source_photos, tell_strangers

TAKEN, OFFSET = 0x9003, 0x9011


@pytest.fixture
def flight(make_flight):
    return make_flight(count=3)


def find(flight, skip_missing=False, warnings=None):
    return find_source_photos(read_model(flight.model).images, flight.images, skip_missing,
                              [] if warnings is None else warnings)


def store_turned(path, orientation):
    """As a camera does that was held aslant: turned pixels, and the tag that turns them back."""
    upright = Image.open(path).convert("RGB")
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 5: Image.Transpose.TRANSPOSE,
            7: Image.Transpose.TRANSVERSE}[orientation]
    tags = Image.Exif()
    tags[EXIF_ORIENTATION] = orientation
    upright.transpose(undo).save(path, quality=97, exif=tags)
    return np.asarray(upright).astype(int)


def test_photos_come_in_the_models_order(flight):
    photos = find(flight)
    assert [photo.name for photo in photos] == flight.names
    assert all(photo.can_be_copied and not photo.turned and not photo.rescaled for photo in photos)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_turned_photo_that_fits_upright_is_turned(flight, orientation):
    warnings = []
    upright = store_turned(flight.images / flight.names[1], orientation)
    photo = find(flight, warnings=warnings)[1]
    assert photo.turned
    assert not photo.can_be_copied
    assert np.abs(photo.pixels() - upright).mean() < 4
    assert f"1 photos were turned as their EXIF orientation says: {flight.names[1]}" in warnings


def test_every_orientation_agrees_with_pillow(flight):
    path = flight.images / flight.names[0]
    for orientation, turns in TURNS.items():
        tags = Image.Exif()
        tags[EXIF_ORIENTATION] = orientation
        Image.open(path).convert("RGB").resize((20, 10)).save(flight.root / "turned.png", exif=tags)
        with Image.open(flight.root / "turned.png") as stored:
            ours = stored
            for turn in turns:
                ours = ours.transpose(turn)
            expected = Image.open(flight.root / "turned.png")
            assert ours.size == ((10, 20) if orientation >= 5 else (20, 10))
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(ImageOps.exif_transpose(expected)))


def test_a_tag_that_contradicts_a_fitting_photo_is_dropped(flight):
    warnings, path = [], flight.images / flight.names[1]
    stored = np.asarray(Image.open(path)).astype(int)
    tags = Image.Exif()
    tags[EXIF_ORIENTATION] = 6
    Image.fromarray(stored.astype(np.uint8)).save(path, quality=97, exif=tags)
    photo = find(flight, warnings=warnings)[1]
    assert not photo.turned
    assert not photo.can_be_copied  # a reader might obey the tag
    assert np.abs(photo.pixels() - stored).mean() < 4
    assert any("orientation was dropped" in warning for warning in warnings)


def test_a_photo_of_another_scale_scales_its_camera(flight):
    warnings, path = [], flight.images / flight.names[0]
    Image.open(path).resize((32, 24)).save(path)
    photo = find(flight, warnings=warnings)[0]
    assert photo.camera.params == (25.0, 25.5, 16.0, 12.0)
    assert f"1 photos are stored at another size than their camera; the intrinsics were scaled: {flight.names[0]}" \
        in warnings


def test_a_photo_of_another_shape_is_refused_by_name(flight):
    path = flight.images / flight.names[2]
    Image.open(path).resize((64, 40)).save(path)
    with pytest.raises(BadData, match=rf"{flight.names[2]}: is 64x40 but its camera 1 is 64x48"):
        find(flight)


def test_a_rounded_scale_is_the_same_shape(flight):
    path = flight.images / flight.names[2]
    Image.open(path).resize((21, 16)).save(path)
    assert find(flight)[2].rescaled


def test_missing_photos_are_refused_with_their_names_and_number(flight):
    for name in flight.names[:2]:
        (flight.images / name).unlink()
    with pytest.raises(BadData, match=r"2 of the model's 3 photos are missing: DJI_0000.JPG, DJI_0001.JPG; .*--skip"):
        find(flight)


def test_missing_photos_can_be_left_out(flight):
    warnings = []
    (flight.images / flight.names[0]).unlink()
    assert [photo.name for photo in find(flight, True, warnings)] == flight.names[1:]
    assert warnings == ["1 photos are missing and are left out: DJI_0000.JPG"]


@pytest.mark.parametrize("skip_missing", [True, False])
def test_no_photo_at_all_is_refused(flight, skip_missing):
    shutil.rmtree(flight.images)
    with pytest.raises(BadData, match="is not a folder"):
        find(flight, skip_missing)
    flight.images.mkdir()
    with pytest.raises(BadData, match="none of the model's 3 photos is there"):
        find(flight, skip_missing)


def test_a_photo_with_a_second_picture_behind_it_is_a_jpeg(flight):
    path = flight.images / flight.names[1]
    first = Image.open(path).convert("RGB")
    first.save(path, "MPO", quality=97, save_all=True, append_images=[Image.new("RGB", (16, 12))])
    with Image.open(path) as stored:
        assert stored.format == "MPO"
    photo = find(flight)[1]
    assert (photo.stored_as, photo.can_be_copied) == ("JPEG", True)
    assert np.abs(photo.pixels().astype(int) - np.asarray(first)).mean() < 4
    np.testing.assert_array_equal(read_picture(path), photo.pixels())


def test_a_text_file_is_no_photo(flight):
    (flight.images / flight.names[1]).write_text("I am not a picture")
    with pytest.raises(BadData, match=r"DJI_0001.JPG: is not a readable picture"):
        find(flight)


def test_a_cut_photo_is_refused_when_it_is_read(flight):
    path = flight.images / flight.names[1]
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadData, match=r"DJI_0001.JPG: is not a readable picture"):
        find(flight)[1].pixels()


@pytest.mark.parametrize(("taken", "offset", "expected"), [
    ("2023:05:01 12:34:56", None, "2023-05-01T12:34:56"),
    ("2023:05:01 12:34:56", "+02:00", "2023-05-01T12:34:56+02:00"),
    ("0000:00:00 garbage", None, None),
    ("0000:00:00 00:00:00", None, None),
    ("2023:13:41 12:34:56", "+02:00", None),
    ("2023:05:01 12:34:56\0", None, "2023-05-01T12:34:56"),
])
def test_the_time_of_capture_comes_from_exif(flight, taken, offset, expected):
    path = flight.images / flight.names[0]
    tags = Image.Exif()
    tags.get_ifd(EXIF_IFD)[TAKEN] = taken
    if offset:
        tags.get_ifd(EXIF_IFD)[OFFSET] = offset
    Image.open(path).save(path, exif=tags)
    assert find(flight)[0].captured_at == expected


def test_pictures_that_the_model_does_not_know_are_told(flight):
    Image.new("RGB", (4, 4)).save(flight.images / "stranger.png")
    (flight.images / "notes.txt").write_text("no picture")
    warnings = []
    tell_strangers([image.name for image in read_model(flight.model).images], flight.images, warnings)
    assert warnings == [f"1 picture is in {flight.images}, but not in the model, and left out: stranger.png"]
