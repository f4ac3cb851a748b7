"""A later flight comes into a scene: where it lies, which photos, and through kills."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from adaptive_nerf.common.errors import BadData, BadInput, BadUsage, OutputExists
from adaptive_nerf.data import update
from adaptive_nerf.data.colmap import ColmapImage
from adaptive_nerf.data.frame_choice import FrameSettings
from adaptive_nerf.data.mappings import read_mappings
from adaptive_nerf.data.prepare import PrepareSettings, prepare_scene
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.update import UpdateSettings, update_scene
from adaptive_nerf.data.update_selection import PosedImage, cube_of, within_cube
from adaptive_nerf.geometry.frames import FrameName, local_frame
from tests.unit.data.colmap_factory import PLACE, flight_poses, write_flight

LATER_NAMES = ["day2/DJI, 0.JPG", "day2/DJI, 1.JPG", "day2/DJI, 2.JPG"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A scene of six photos, in ECEF or local: prepared once, and copied by whoever wants one."""
    made = {}
    for ecef in (True, False):
        root = tmp_path_factory.mktemp("prepared")
        names = [f"DJI_{index:04d}.JPG" for index in range(6)]
        flight = write_flight(root / "raw", names, flight_poses(6), "PINHOLE", ecef, text=False)
        prepare_scene(PrepareSettings(flight.root, root / "scene", 0.5, FrameSettings(ecef_to_enu=ecef)))
        made[ecef] = root / "scene"
    return made


@pytest.fixture
def prepared(scenes, tmp_path):
    def make(name="scene", ecef=True):
        return shutil.copytree(scenes[ecef], tmp_path / name)
    return make


@pytest.fixture
def later(make_flight):
    return make_flight("later", lens="OPENCV", names=LATER_NAMES, poses=flight_poses(3, east_m=5))


def add(scene, flight, tag="day2", **settings):
    return update_scene(UpdateSettings(flight.model, flight.images, scene, tag, **settings))


def test_the_later_flight_lies_in_the_frame_of_the_scene(prepared, later):
    root = prepared()
    add(root, later)
    scene = open_scene(root)
    assert [photo.photo_id for photo in scene.flights["day2"]] == [6, 7, 8]
    for photo, truth in zip(scene.flights["day2"], later.c2w_enu, strict=True):
        camera = photo.camera(scene.frame.metres_per_unit).in_frame(FrameName.ECEF, scene.frame)
        found = camera.in_frame(FrameName.ENU, local_frame(PLACE)).c2w
        np.testing.assert_allclose(found, truth, atol=1e-5)
    assert scene.warnings == ()


def test_the_manifest_and_the_mappings_name_the_photos(prepared, later):
    root = prepared()
    report = add(root, later)
    manifest = json.loads((root / "continual" / "day2" / "manifest.json").read_text())
    assert manifest["batch_tag"] == "day2"
    assert manifest["count"] == report["photos"] == 3
    assert manifest["items"][1] == {"image_name": "day2/DJI, 1.JPG", "id": "000007", "camera_id": 1,
                                    "undistort": "opencv", "pose_rev": 0}
    names = read_mappings(root / "mappings.txt", [])
    assert [names[photo_id] for photo_id in (5, 6, 7, 8)] == ["DJI_0005.JPG", *LATER_NAMES]


def test_the_rest_of_the_scene_is_not_touched(prepared, later, digest):
    root = prepared()
    before = digest(root)
    add(root, later)
    after = digest(root)
    changed = {path for path in before if after[path] != before[path]}
    assert changed == {"mappings.txt"}
    assert all(path.startswith("continual/day2/") for path in after.keys() - before.keys())


def test_ids_go_on_after_an_earlier_update(prepared, later, make_flight):
    root = prepared()
    add(root, later)
    third = make_flight("third", names=["day3/a.JPG"], poses=flight_poses(1, east_m=7))
    assert add(root, third, "day3")["first_id"] == 9
    assert len(open_scene(root).all_photos) == 10


def test_photos_that_the_scene_has_are_left_out_and_counted(prepared, make_flight, capsys):
    root = prepared()
    grown = make_flight("grown", names=[*(f"DJI_{index:04d}.JPG" for index in range(6)), "new.JPG"],
                        poses=np.concatenate([flight_poses(6), flight_poses(1, east_m=5)]))
    report = add(root, grown)
    assert (report["known_already"], report["photos"], report["first_id"]) == (6, 1, 6)
    assert "6 photos of the model are in the scene already" in capsys.readouterr().err


def test_photos_that_the_model_could_not_place_are_told_and_those_of_the_scene_are_not(prepared, make_flight):
    flight = make_flight("grown", names=["DJI_0001.JPG", "new.JPG"],
                         poses=np.concatenate([flight_poses(6)[1:2], flight_poses(1, east_m=5)]))
    for name in ("DJI_0000.JPG", "lost.JPG"):
        shutil.copy(flight.images / "new.JPG", flight.images / name)
    report = add(prepared(), flight)
    assert report["photos"] == 1
    assert [text for text in report["warnings"] if "lost" in text or "0000" in text] == [
        f"1 picture is in {flight.images}, but not in the model, and left out: lost.JPG"]


@pytest.mark.parametrize("lost", ["all names", "two names"])
def test_photos_whose_original_names_are_lost_are_no_later_flight(prepared, make_flight, lost):
    root, names = prepared(), [f"DJI_{index:04d}.JPG" for index in range(6)]
    lines = (root / "mappings.txt").read_text().splitlines(keepends=True)
    (root / "mappings.txt").write_text("".join(lines[:0 if lost == "all names" else 4]))
    grown = make_flight("grown", names=[*names, "new.JPG"],
                        poses=np.concatenate([flight_poses(6), flight_poses(1, east_m=5)]))
    report = add(root, grown)
    assert (report["known_already"], report["photos"]) == (6, 1)
    assert [photo.name for photo in open_scene(root).flights["day2"]] == ["new.JPG"]
    assert any("under other names, and are left out: DJI_000" in warning for warning in report["warnings"])


def test_nothing_new_is_refused(prepared, make_flight):
    root = prepared()
    with pytest.raises(BadInput, match="all 4 photos of the model are in the scene already"):
        add(root, make_flight("same", count=4))


def test_other_photos_under_known_names_are_refused(prepared, make_flight):
    """Drones begin to count anew: DJI_0001.JPG of the second day is another photo."""
    root = prepared()
    day2 = make_flight("day2", names=["DJI_0001.JPG", "DJI_0009.JPG"], poses=flight_poses(2, east_m=8))
    with pytest.raises(BadInput, match=r"1 photos have names that the scene has.*DJI_0001.JPG; .*sub-folder"):
        add(root, day2)


def test_a_grown_model_that_has_drifted_says_so(prepared, make_flight):
    root = prepared()
    poses = np.concatenate([flight_poses(6), flight_poses(1, east_m=5)])
    poses[:, 0, 3] += 0.4
    grown = make_flight("grown", names=[*(f"DJI_{index:04d}.JPG" for index in range(6)), "new.JPG"], poses=poses)
    assert any("up to 0.40 m away" in warning for warning in add(root, grown)["warnings"])


@pytest.fixture
def half_outside(make_flight):
    poses = np.concatenate([flight_poses(2, east_m=5), flight_poses(1, east_m=400)])
    return make_flight("far", names=["far/a.JPG", "far/b.JPG", "far/c.JPG"], poses=poses)


def test_a_camera_outside_of_the_cube_is_refused_by_name(prepared, half_outside, digest):
    root = prepared()
    before = digest(root)
    with pytest.raises(BadInput, match=r"1 of 3 new cameras lie outside of the scene's cube.*far/c.JPG.*clip"):
        add(root, half_outside)
    assert digest(root) == before


def test_clip_leaves_the_photo_out_and_moves_no_camera(prepared, half_outside):
    root = prepared()
    report = add(root, half_outside, on_overflow="clip")
    assert (report["left_out"], report["photos"]) == (1, 2)
    assert [photo.name for photo in open_scene(root).flights["day2"]] == ["far/a.JPG", "far/b.JPG"]
    assert any("far/c.JPG" in warning for warning in report["warnings"])


def test_clip_with_nothing_left_is_refused(prepared, make_flight):
    far = make_flight("far", names=["far/a.JPG"], poses=flight_poses(1, east_m=400))
    with pytest.raises(BadInput, match="1 of 1 new cameras lie outside"):
        add(prepared(), far, on_overflow="clip")


def test_a_new_camera_may_stand_as_far_out_as_the_scenes_own():
    """With camera_p99 some of the scene's cameras stand outside of its cube."""
    def at(*place):
        return np.concatenate([np.eye(3), np.array(place)[:, None]], axis=1)

    own = [SimpleNamespace(c2w_scene=at(*place)) for place in ((0.0, 0.2, 0.0), (0.1, -1.3, 0.4))]
    fresh = [PosedImage(ColmapImage("a.JPG", None, None), at(0.0, 1.0, 1.29))]
    assert within_cube(fresh, "abort", cube_of(own)) == (fresh, [])
    with pytest.raises(BadInput, match=r"up to 1.29 scene units from its middle, 1 is the limit"):
        within_cube(fresh, "abort", cube_of(own[:1]))


@pytest.mark.parametrize("tag", ["../out", "a/b", "", ".", "..", ".hidden", "train", "val", "day 2"])
def test_a_tag_that_is_no_plain_name_is_refused(prepared, later, tag):
    with pytest.raises(BadUsage, match="is no plain name"):
        add(prepared(), later, tag)


def test_an_existing_batch_is_replaced_only_with_force(prepared, later, make_flight, digest):
    root = prepared()
    add(root, later)
    before = digest(root)
    with pytest.raises(OutputExists, match="continual/day2 exists already"):
        add(root, later)
    add(root, later, force=True)
    assert digest(root) == before
    fewer = make_flight("fewer", names=["day2/x.JPG"], poses=flight_poses(1, east_m=5))
    add(root, fewer, force=True)
    assert sorted(read_mappings(root / "mappings.txt", [])) == list(range(7))
    assert [photo.name for photo in open_scene(root).flights["day2"]] == ["day2/x.JPG"]


@pytest.mark.parametrize("kth", [1, 3, 8, 11, 12])
def test_killed_at_any_write_the_next_run_ends_with_the_same_bytes(prepared, later, killed_at_write, digest, kth):
    """11 writes make the batch: inputs, three of each photo, the manifest; the twelfth is mappings.txt."""
    whole, killed = prepared("whole"), prepared("killed")
    add(whole, later)
    assert killed_at_write(kth, lambda: add(killed, later))
    between = open_scene(killed)  # every state between is a scene
    assert len(between.all_photos) == (9 if kth == 12 else 6)
    add(killed, later)
    assert digest(killed) == digest(whole)


def test_only_the_mappings_are_completed_when_the_batch_is_whole(prepared, later, killed_at_write, monkeypatch):
    root = prepared()
    assert killed_at_write(12, lambda: add(root, later))
    monkeypatch.setattr(update, "export_photos", None)  # no photo is done again
    assert add(root, later)["completed"] == 3
    with pytest.raises(OutputExists):
        add(root, later)


def test_a_replacement_that_was_killed_is_done_again(prepared, later, make_flight, killed_at_write, digest):
    whole, killed = prepared("whole"), prepared("killed")
    fewer = make_flight("fewer", names=["day2/x.JPG"], poses=flight_poses(1, east_m=5))
    for root in (whole, killed):
        add(root, later)
    add(whole, fewer, force=True)
    assert killed_at_write(6, lambda: add(killed, fewer, force=True))
    add(killed, fewer, force=True)
    assert digest(killed) == digest(whole)


def test_a_batch_with_other_photos_is_not_completed(prepared, later, make_flight, killed_at_write):
    root = prepared()
    assert killed_at_write(12, lambda: add(root, later))
    other = make_flight("other", names=["other.JPG"], poses=flight_poses(1, east_m=5))
    with pytest.raises(OutputExists):
        add(root, other)


def test_any_number_of_jobs_gives_the_same_bytes(prepared, later, digest):
    one, two = prepared("one"), prepared("two")
    add(one, later, jobs=1)
    add(two, later, jobs=2)
    assert digest(one) == digest(two)


def test_a_local_model_does_not_fit_a_georeferenced_scene(prepared, make_flight):
    local = make_flight("local", names=LATER_NAMES, ecef=False)
    with pytest.raises(BadInput, match=r"not ECEF.*the scene is georeferenced"):
        add(prepared(), local)


def test_an_ecef_model_does_not_fit_a_local_scene(prepared, later):
    with pytest.raises(BadInput, match=r"look like ECEF.*it has no geo-reference"):
        add(prepared(ecef=False), later)


def test_a_local_scene_takes_a_local_flight(prepared, make_flight):
    root = prepared(ecef=False)
    local = make_flight("local", names=LATER_NAMES, ecef=False, poses=flight_poses(3, east_m=5))
    assert any("nothing tells whether both have one frame" in text for text in add(root, local)["warnings"])
    photo = open_scene(root).flights["day2"][0]
    camera = photo.camera(open_scene(root).frame.metres_per_unit).in_frame(FrameName.ENU, open_scene(root).frame)
    np.testing.assert_allclose(camera.c2w, local.c2w_enu[0], atol=1e-5)


def test_a_scene_without_coordinates_is_named(prepared, later):
    root = prepared()
    (root / "coordinates.pt").unlink()
    with pytest.raises(BadData, match=r"coordinates.pt: is missing"):
        add(root, later)


def test_a_scene_that_is_not_there_is_named(tmp_path, later):
    with pytest.raises(BadUsage, match=r"--prepared_dir .*nowhere is not a folder"):
        add(tmp_path / "nowhere", later)


def test_missing_photos_leave_the_scene_as_it_was(prepared, later, digest):
    root = prepared()
    before = digest(root)
    (later.images / LATER_NAMES[0]).unlink()
    with pytest.raises(BadData, match="1 of the model's 3 photos are missing"):
        add(root, later)
    assert digest(root) == before
    assert add(root, later, skip_missing=True)["photos"] == 2


def test_metadata_is_like_that_of_the_scene(prepared, later):
    root = prepared()
    add(root, later)
    ours, scenes = (torch.load(path, weights_only=True) for path in
                    (next(root.rglob("metadata/000006.pt")), next(root.rglob("metadata/000000.pt"))))
    assert ours.keys() == scenes.keys()
