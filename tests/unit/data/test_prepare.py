"""From a COLMAP model and photos to a scene, from end to end, and through kills and a full disk."""

import json

import numpy as np
import pycolmap
import pytest
import torch
from PIL import Image

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData, BadInput, BadUsage, DiskFull, Failure, NotGeoreferenced, OutputExists
from adaptive_nerf.data import photo_export
from adaptive_nerf.data.frame_choice import FrameSettings
from adaptive_nerf.data.prepare import PrepareSettings, prepare_scene
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.geometry.frames import FrameName, local_frame
from adaptive_nerf.geometry.rays import camera_rays
from tests.support.small_disk import enlarge, small_disk
from tests.unit.data.colmap_factory import LENSES, PLACE, plain_colour

FROM_PLACE = local_frame(PLACE)
WRITES_OF_FOUR_PHOTOS = 1 + 4 * 3 + 2  # inputs; picture, metadata, record; coordinates, mappings


@pytest.fixture
def prepare(tmp_path):
    def run(flight, output="scene", ecef=True, frame=None, **settings):
        frame = frame or FrameSettings(ecef_to_enu=ecef)
        target = tmp_path / "out" / output
        report = prepare_scene(PrepareSettings(flight.root, target, frame=frame, **{"val_split": 0.5, **settings}))
        return report, target
    return run


def cameras_in_place(scene):
    """The scene's cameras in ENU at PLACE, whatever reference the scene has chosen itself."""
    for photo in scene.photos:
        camera = photo.camera(scene.frame.metres_per_unit)
        yield photo, camera.in_frame(FrameName.ECEF, scene.frame).in_frame(FrameName.ENU, FROM_PLACE)


@pytest.mark.parametrize("lens", LENSES)
def test_points_come_back_on_the_pixel_where_colmap_sees_them(make_flight, prepare, lens):
    flight = make_flight(lens=lens)
    _, root = prepare(flight)
    undistorted = flight.camera if "PINHOLE" in lens else \
        pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), flight.camera)
    for pose, (photo, camera) in zip(flight.c2w_enu, cameras_in_place(open_scene(root)), strict=True):
        local = (flight.points_enu - pose[:, 3]) @ pose[:, :3] * [1, -1, -1]  # right, down, forward
        expected = undistorted.img_from_cam(local)
        pixels, _ = camera.project(flight.points_enu)
        np.testing.assert_allclose(pixels, expected, atol=0.01)
        assert (photo.width, photo.height) == (undistorted.width, undistorted.height)


@pytest.mark.parametrize("lens", ["PINHOLE", "OPENCV", "OPENCV_FISHEYE"])
def test_every_pixel_of_a_prepared_photo_shows_its_ground_point(make_flight, prepare, lens):
    _, root = prepare(make_flight(lens=lens))
    for photo, camera in cameras_in_place(open_scene(root)):
        rays = camera_rays(camera)
        ground = rays.at(-rays.origins[:, 2] / rays.directions[:, 2])
        pixels = photo.pixels()
        truth = plain_colour(ground[:, :2]).reshape(pixels.shape).astype(float)
        assert np.median(np.abs(pixels - truth)) < 4  # JPEG


def test_cameras_come_back_to_latitude_and_longitude(make_flight, prepare):
    flight = make_flight()
    _, root = prepare(flight)
    scene = open_scene(root)
    oracle = pycolmap.GPSTransform(pycolmap.GPSTransformEllipsoid.WGS84)
    truth = oracle.enu_to_ellipsoid(flight.c2w_enu[:, :, 3], *PLACE)
    positions = np.stack([photo.c2w_scene[:, 3] for photo in scene.photos])
    found = scene.frame.geodetic_from(FrameName.SCENE, positions)
    assert np.abs(found - truth)[:, :2].max() < 1e-10
    assert np.abs(found - truth)[:, 2].max() < 1e-5


def test_a_scene_without_geo_reference_says_so(make_flight, prepare, capsys):
    report, root = prepare(make_flight(ecef=False), ecef=False)
    scene = open_scene(root)
    assert "not georeferenced" in report["frame"]
    assert "a unit of the model is taken for 1 m" in capsys.readouterr().err
    with pytest.raises(NotGeoreferenced, match="no geo-reference"):
        scene.frame.geodetic_from(FrameName.SCENE, np.zeros(3))


def test_pinhole_photos_are_copied_byte_for_byte(make_flight, prepare, tmp_path):
    flight = make_flight()
    report, root = prepare(flight)
    assert report["copied_unchanged"] == 4
    for photo in open_scene(root).photos:
        assert photo.image_path.read_bytes() == (flight.images / photo.name).read_bytes()


def test_ids_follow_the_names_over_both_splits_and_names_may_hold_commas(make_flight, prepare):
    names = ["sub/b, 2.JPG", "a.JPG", "sub/b, 1.JPG", "c.JPG", "b.JPG", "d.JPG"]
    report, root = prepare(make_flight(names=names), val_split=0.3)
    scene = open_scene(root)
    assert [photo.name for photo in scene.photos] == sorted(names)
    assert [photo.photo_id for photo in scene.split("val")] == [0, 5]
    assert report["splits"] == {"train": 4, "val": 2}
    assert scene.warnings == ()


@pytest.mark.parametrize(("count", "val_split", "val"), [(4, 0.0, 0), (4, 1.0, 4), (1, 0.3, 0), (1, 1.0, 1)])
def test_extreme_splits_are_made_and_said(make_flight, prepare, count, val_split, val):
    report, root = prepare(make_flight(count=count), val_split=val_split)
    assert len(open_scene(root).split("val")) == val
    empty = "train" if val else "val"
    assert f"no photo is in {empty}; change --val_split" in report["warnings"]


def test_metadata_tells_the_lens_and_the_camera(make_flight, prepare):
    _, root = prepare(make_flight(lens="OPENCV"))
    value = torch.load(next(root.rglob("metadata/000000.pt")), weights_only=True)
    assert value["camera_id"] == 1
    np.testing.assert_allclose(value["distortion"], [-0.05, 0.01, 0.001, -0.001, 0], atol=1e-7)


def test_borders_that_came_with_the_photos_are_masked(make_flight, prepare):
    flight = make_flight()
    path = flight.images / flight.names[1]
    pixels = np.array(Image.open(path))
    pixels[:, :5] = 0
    save_picture(path, pixels)
    report, root = prepare(flight)
    valid = open_scene(root).photos[1].valid_pixels()
    assert not valid[:, :6].any()
    assert valid[:, 10:].all()
    assert "1 photos came with black borders; they were masked" in report["warnings"]
    assert open_scene(root).photos[0].valid_path is None


def save_picture(path, pixels):
    Image.fromarray(pixels).save(path, quality=97)


def test_text_and_binary_models_give_the_same_bytes(make_flight, prepare, digest):
    _, binary = prepare(make_flight("binary", lens="OPENCV"), "binary")
    _, text = prepare(make_flight("text", lens="OPENCV", text=True), "text")
    assert digest(binary) == digest(text)


def test_any_number_of_jobs_gives_the_same_bytes(make_flight, prepare, digest):
    flight = make_flight(lens="OPENCV_FISHEYE", count=6)
    digests = [digest(prepare(flight, f"jobs{jobs}", jobs=jobs)[1]) for jobs in (1, 2, 5)]
    assert digests[0] == digests[1] == digests[2]


def test_what_is_read_before_the_first_photo_is_told(make_flight, prepare, capsys):
    flight = make_flight()
    prepare(flight)
    said = capsys.readouterr().err
    assert f"reading the model in {flight.model} (0." in said
    assert said.index("headers of photos: 4/4") < said.index("\nphotos: 4/4")


def test_an_existing_scene_is_replaced_only_with_force(make_flight, prepare, digest):
    flight = make_flight()
    _, root = prepare(flight)
    before = digest(root)
    (root / "masks").mkdir()
    with pytest.raises(OutputExists, match="--force"):
        prepare(flight)
    prepare(flight, force=True)
    assert digest(root) == before
    assert list(root.parent.iterdir()) == [root]
    assert not (root / "masks").exists()


def test_force_does_not_replace_what_is_no_scene(make_flight, prepare, tmp_path):
    (tmp_path / "out" / "scene").mkdir(parents=True)
    (tmp_path / "out" / "scene" / "thesis.txt").write_text("precious")
    with pytest.raises(BadUsage, match="was not made by this command"):
        prepare(make_flight(), force=True)


@pytest.mark.parametrize("kth", [1, 2, 4, 9, WRITES_OF_FOUR_PHOTOS])
def test_killed_at_any_write_the_next_run_ends_with_the_same_bytes(make_flight, prepare, killed_at_write, digest, kth):
    flight = make_flight(lens="OPENCV")
    expected = digest(prepare(flight, "whole")[1])
    assert killed_at_write(kth, lambda: prepare(flight, "killed"))
    target = prepare(flight, "killed")[1]
    assert digest(target) == expected
    assert {path.name for path in target.parent.iterdir()} == {"whole", "killed"}


def test_a_run_that_ends_while_all_is_brought_to_the_disk_has_lost_no_photo(make_flight, prepare, monkeypatch):
    flight = make_flight()
    with monkeypatch.context() as patched:
        patched.setattr(atomic_files, "sync_tree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(flight)
    monkeypatch.setattr(photo_export, "_export", None)
    assert prepare(flight)[0]["photos"] == 4


def interrupted(folder):
    raise KeyboardInterrupt


def test_what_a_killed_run_has_finished_is_not_done_again(make_flight, prepare, killed_at_write, monkeypatch):
    flight = make_flight(lens="OPENCV")
    assert killed_at_write(1 + 3 * 3 + 1, lambda: prepare(flight, jobs=1))  # in the fourth photo
    done = []
    monkeypatch.setattr(photo_export, "undistort", lambda rgb, camera: done.append(1) or rgb)
    monkeypatch.setattr(photo_export, "pinhole_of", lambda camera: photo_export.Pinhole(64, 48, 1, 1, 1, 1, 0, None))
    prepare(flight, jobs=1)
    assert len(done) == 1


def test_other_inputs_start_over_after_a_kill(make_flight, prepare, killed_at_write, digest):
    flight = make_flight()
    expected = digest(prepare(flight, "whole", val_split=0.25)[1])
    assert killed_at_write(12, lambda: prepare(flight, "killed", val_split=0.75))
    assert digest(prepare(flight, "killed", val_split=0.25)[1]) == expected


def test_a_photo_that_changed_since_the_kill_is_done_again(make_flight, prepare, killed_at_write, digest):
    flight, fresh = make_flight(), make_flight("fresh")
    assert killed_at_write(12, lambda: prepare(flight, "killed"))
    for raw in (flight, fresh):
        save_picture(raw.images / raw.names[0], np.full((48, 64, 3), 99, np.uint8))
    assert digest(prepare(flight, "killed")[1]) == digest(prepare(fresh, "whole")[1])


def test_a_cut_photo_leaves_no_scene(make_flight, prepare, tmp_path):
    flight = make_flight()
    path = flight.images / flight.names[2]
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadData, match=r"DJI_0002.JPG: is not a readable picture"):
        prepare(flight)
    assert not (tmp_path / "out" / "scene").exists()


def test_bad_input_leaves_nothing_at_all(make_flight, prepare, tmp_path):
    flight = make_flight()
    (flight.model / "images.bin").write_bytes(b"\1")
    with pytest.raises(BadData, match="is cut off"):
        prepare(flight)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of its own with room for a few files. Yields its folder and a function that makes it larger."""
    with small_disk(tmp_path / "disk", 40 / 1024) as folder:
        yield folder, lambda: enlarge(folder, 4)


def test_a_full_disk_is_one_line_and_no_scene_and_goes_on_with_more_room(make_flight, prepare, tiny_disk, digest):
    flight, (folder, make_room) = make_flight(lens="OPENCV"), tiny_disk
    expected = digest(prepare(flight, "whole")[1])
    settings = PrepareSettings(flight.root, folder / "scene", 0.5, FrameSettings(ecef_to_enu=True))
    with pytest.raises(DiskFull, match="no space left on the disk"):
        prepare_scene(settings)
    assert not (folder / "scene").exists()
    make_room()
    prepare_scene(settings)
    assert digest(folder / "scene") == expected


def test_a_write_without_space_leaves_no_scene(make_flight, prepare, monkeypatch, tmp_path):
    flight = make_flight()

    def full(folder):
        raise OSError(28, "No space left on device", str(folder))
    monkeypatch.setattr(atomic_files, "fsync_folder", full)
    with pytest.raises(DiskFull):
        prepare(flight)
    assert not (tmp_path / "out" / "scene").exists()


def test_two_commands_on_one_output_do_not_mix(make_flight, prepare, tmp_path):
    partial = atomic_files.partial_folder(tmp_path / "out" / "scene")
    partial.mkdir(parents=True)
    with atomic_files.locked_folder(partial), pytest.raises(Failure, match="another command is at work"):
        prepare(make_flight())


@pytest.mark.parametrize(("settings", "problem"), [
    ({"val_split": 1.5}, "--val_split 1.5 is no share"),
    ({"frame": FrameSettings(points_low_alt_percentile=5)}, "--points_low_alt_percentile 5 is no share"),
    ({"frame": FrameSettings(metres_per_unit=0)}, "give a positive number"),
    ({"frame": FrameSettings(maximum_allowed_height_m=-1)}, "give 0 or more metres"),
    ({"frame": FrameSettings(ecef_to_enu=True, metres_per_unit=2)}, "with --ecef_to_enu units are metres"),
])
def test_settings_that_make_no_sense_are_refused(make_flight, prepare, settings, problem):
    with pytest.raises(BadUsage, match=problem):
        prepare(make_flight(), **settings)


def test_an_output_that_cannot_be_made_is_one_line(make_flight, tmp_path):
    (tmp_path / "file").write_text("")
    settings = PrepareSettings(make_flight().root, tmp_path / "file" / "scene", frame=FrameSettings(ecef_to_enu=True))
    with pytest.raises(BadInput, match="cannot be made"):
        prepare_scene(settings)


def test_the_report_is_plain_json(make_flight, prepare):
    report, root = prepare(make_flight(lens="OPENCV_FISHEYE"))
    value = json.loads(json.dumps(report, allow_nan=False))
    assert value["photos"] == 4
    assert value["undistorted"] == 4
    assert value["lenses"] == [{"lens": "OPENCV_FISHEYE", "photos": 4}]
    assert value["scene"] == str(root)
