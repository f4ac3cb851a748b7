import numpy as np
import pytest
import torch

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data import scene as scene_module
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.tensor_files import save_tensors
from adaptive_nerf.geometry.frames import FrameName
from tests.unit.data.scene_factory import FRAME, camera_at, change_metadata, write_photo, write_scene


@pytest.fixture
def scene_root(tmp_path):
    return write_scene(tmp_path / "scene")


def test_a_scene_comes_back_as_it_was_written(scene_root):
    scene = open_scene(scene_root)
    assert [photo.photo_id for photo in scene.photos] == list(range(6))
    assert [photo.photo_id for photo in scene.split("val")] == [0, 3]
    assert scene.photos[4].name == "DJI, 4.JPG"
    assert scene.frame.enu_reference == FRAME.enu_reference
    assert scene.frame.metres_per_unit == FRAME.metres_per_unit
    assert scene.warnings == ()


def test_camera_positions_survive_within_a_tenth_of_a_millimetre(scene_root):
    scene = open_scene(scene_root)
    for photo in scene.photos:
        camera = photo.camera(scene.frame.metres_per_unit).in_frame(FrameName.ENU, scene.frame)
        assert np.abs(camera.c2w[:, 3] - [10.0 * photo.photo_id, 0, 50]).max() < 1e-4


def test_a_flat_folder_is_all_val_and_test_may_stand_for_val(scene_root):
    (scene_root / "val").rename(scene_root / "test")
    assert len(open_scene(scene_root).split("val")) == 2
    for kind in ("metadata", "rgbs"):
        (scene_root / "train" / kind).rename(scene_root / kind)
    assert len(open_scene(scene_root).split("val")) == 4


@pytest.mark.parametrize(("key", "value", "says"), [
    ("H", -24, "key 'H': is -24; expected a positive whole number"),
    ("c2w", torch.full((3, 4), torch.nan), "key 'c2w': holds NaN"),
    ("c2w", torch.zeros(3, 4), "key 'c2w': its left 3x3 part is no rotation"),
    ("c2w", torch.eye(4), r"key 'c2w': has shape \(4, 4\); expected 3x4"),
    ("intrinsics", torch.tensor([-1.0, 30, 16, 12]), "key 'intrinsics': focal lengths -1, 30"),
])
def test_bad_metadata_is_named_by_file_and_key(scene_root, key, value, says):
    path = change_metadata(scene_root, "000004", **{key: value})
    with pytest.raises(BadData, match=f"{path.name}: {says}"):
        open_scene(scene_root)


def test_a_missing_picture_is_named(scene_root):
    (scene_root / "train" / "rgbs" / "000002.jpg").unlink()
    with pytest.raises(BadData, match=r"000002: has no picture for 000002.pt"):
        open_scene(scene_root)


def test_a_picture_without_metadata_is_left_out_with_a_warning(scene_root):
    (scene_root / "train" / "metadata" / "000002.pt").unlink()
    scene = open_scene(scene_root)
    assert len(scene.photos) == 5
    assert "1 pictures have no metadata" in scene.warnings[0]


def test_an_incomplete_mappings_file_gives_one_warning_and_file_names(scene_root):
    (scene_root / "mappings.txt").write_text("DJI_0.JPG,000000.pt\n")
    scene = open_scene(scene_root)
    assert [photo.name for photo in scene.photos[:2]] == ["DJI_0.JPG", "000001.jpg"]
    (warning,) = scene.warnings  # train and val together
    assert "mappings.txt: 5 photos have no original name" in warning


def test_a_missing_mappings_file_is_one_warning(scene_root):
    (scene_root / "mappings.txt").unlink()
    (warning,) = open_scene(scene_root).warnings
    assert "mappings.txt is missing; photos go by their file names" in warning


def test_a_flight_without_a_manifest_is_one_warning(scene_root):
    write_photo(scene_root / "continual" / "day2", 6, camera_at(5.0, 5.0))
    (warning,) = open_scene(scene_root).warnings
    assert "manifest.json is missing" in warning


def test_an_id_that_mappings_name_twice_is_one_warning(scene_root):
    path = scene_root / "mappings.txt"
    path.write_text(path.read_text() + "again.JPG,000004.pt\nonce more.JPG,000005.pt\n")
    scene = open_scene(scene_root)
    (warning,) = scene.warnings
    assert "2 ids are named more than once, the last name counts (000004 is the first)" in warning
    assert scene.photos[4].name == "again.JPG"


@pytest.mark.parametrize(("many", "told"), [(4, ["train"]), (5, [])])
def test_reading_the_metadata_of_many_photos_is_told(scene_root, monkeypatch, capsys, many, told):
    monkeypatch.setattr(scene_module, "MANY", many)
    open_scene(scene_root)
    assert capsys.readouterr().err.splitlines() == [
        f"reading what {scene_root / split / 'metadata'} tells of 4 photos" for split in told]


def test_mappings_that_are_a_folder_are_refused(scene_root):
    (scene_root / "mappings.txt").unlink()
    (scene_root / "mappings.txt").mkdir()
    with pytest.raises(BadData, match=r"mappings\.txt: cannot be read"):
        open_scene(scene_root)


@pytest.mark.parametrize(("changes", "says"), [
    ({"format_version": 2}, "key 'format_version': is 2, newer than this program; expected 1 or less"),
    ({"enu_ref_coords": (90.5, 16.4, 180.0)}, "key 'enu_ref_coords': is latitude 90.5, longitude 16.4"),
    ({"enu_ref_coords": (48.2, -181, 180.0)}, "key 'enu_ref_coords': is latitude 48.2, longitude -181"),
])
def test_coordinates_that_make_no_sense_are_refused(scene_root, changes, says):
    path = scene_root / "coordinates.pt"
    save_tensors(path, {**torch.load(path, weights_only=True), **changes})
    with pytest.raises(BadData, match=rf"coordinates\.pt: {says}"):
        open_scene(scene_root)


def test_coordinates_may_tell_their_version(scene_root):
    path = scene_root / "coordinates.pt"
    save_tensors(path, {**torch.load(path, weights_only=True), "format_version": 1})
    assert open_scene(scene_root).frame.enu_reference == FRAME.enu_reference


def test_a_line_of_mappings_that_makes_no_sense_is_quoted(scene_root):
    (scene_root / "mappings.txt").write_text("DJI_0.JPG 000000.pt\n")
    with pytest.raises(BadData, match=r"line 1 reads 'DJI_0.JPG 000000.pt'; expected original_name,000123.pt"):
        open_scene(scene_root)


def test_coordinates_without_a_key_say_which(scene_root):
    save_tensors(scene_root / "coordinates.pt", {"origin_drb": torch.zeros(3)})
    with pytest.raises(BadData, match=r"coordinates.pt: key 'altitude_range_enu': is missing; expected 2 numbers"):
        open_scene(scene_root)


def test_an_empty_scene_and_a_wrong_path_are_refused(tmp_path):
    with pytest.raises(BadData, match="is not a folder"):
        open_scene(tmp_path / "nowhere")
    with pytest.raises(BadData, match=r"coordinates.pt: is missing; expected a prepared scene"):
        open_scene(tmp_path)
    with pytest.raises(BadData, match="holds no photos"):
        open_scene(write_scene(tmp_path / "empty", count=0))


def test_a_later_flight_with_another_tag_in_its_manifest_goes_by_its_folder(scene_root):
    flight = scene_root / "continual" / "day2"
    write_photo(flight, 6, camera_at(5.0, 5.0))
    (flight / "manifest.json").write_text(
        '{"batch_tag": "day-two", "count": 1, "items": [{"image_name": "new.JPG", "id": "000006"}]}')
    scene = open_scene(scene_root)
    assert [photo.name for photo in scene.flights["day2"]] == ["new.JPG"]
    assert "batch_tag is 'day-two', the folder's name 'day2' counts" in scene.warnings[0]


def test_two_photos_of_one_id_are_refused(scene_root):
    write_photo(scene_root / "continual" / "day2", 3, camera_at(5.0, 5.0))
    with pytest.raises(BadData, match="has the id of"):
        open_scene(scene_root)


def test_the_real_flight_opens_without_a_warning(real_flight):
    scene = open_scene(real_flight)
    assert (len(scene.split("train")), len(scene.split("val"))) == (187, 62)
    assert scene.warnings == ()
