import hashlib
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.atomic_files import partial_folder
from adaptive_nerf.common.errors import BadUsage, OutputExists
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, c2w_from_colmap, local_frame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.synth import town
from adaptive_nerf.synth.town import TownRequest, make_town, shots_of, world

TINY = TownRequest(seed=3, size_m=(60.0, 48.0), photos=4, event_photos=2, resolution=(64, 48))


def digest(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def truth(folder: Path, number: int) -> tuple[Camera, dict]:
    """A photo's camera, as its metadata tells it, and its arrays."""
    meta = json.loads((folder / "truth" / "metadata.json").read_text())
    photo, lens = meta["photos"][number], meta["intrinsics"]
    camera = Camera(lens["width"], lens["height"], lens["fx"], lens["fy"], lens["cx"], lens["cy"],
                    np.array(photo["camera_to_world"]), FrameName.ENU)
    return camera, {name: np.load(folder / "truth" / photo[name]) for name in ("depth", "normal", "mask", "change")}


def test_a_town_has_two_flights_of_the_same_shape(tiny_town):
    for folder, photos in ((tiny_town, 4), (tiny_town / "event", 2)):
        assert len(list((folder / "images").iterdir())) == photos
        assert len(list((folder / "truth").iterdir())) == 4 * photos + 1
        assert {"cameras.bin", "images.bin", "points3D.bin"} <= {path.name for path in (folder / "model").iterdir()}
    assert not partial_folder(tiny_town).exists()
    assert not [path for path in tiny_town.rglob(".*")]


def test_truth_has_the_promised_types(tiny_town):
    _, arrays = truth(tiny_town, 1)
    assert arrays["depth"].dtype == arrays["normal"].dtype == np.float32
    assert arrays["mask"].dtype == arrays["change"].dtype == bool
    np.testing.assert_array_equal(np.isfinite(arrays["depth"]), arrays["mask"])
    np.testing.assert_allclose(np.linalg.norm(arrays["normal"], axis=-1), arrays["mask"], atol=1e-5)


def test_depth_of_one_photo_agrees_with_another_where_both_see(tiny_town):
    camera, arrays = truth(tiny_town, 0)
    rays = camera_rays(camera)
    depth = arrays["depth"].ravel().astype(np.float64)
    points = rays.at(np.nan_to_num(depth) / rays.forward)
    other, other_arrays = truth(tiny_town, 1)
    pixels, expected = other.project(points)
    inside = np.isfinite(depth) & np.all((pixels > 0) & (pixels < [64, 48]), axis=-1)
    column, row = pixels[inside].astype(int).T
    found = other_arrays["depth"][row, column]
    assert inside.sum() > 300
    assert (expected[inside] - found).min() > -12  # nothing but what hides it lies nearer
    assert np.median(np.abs(expected[inside] - found)) < 0.3


def test_the_colmap_model_reprojects_its_points_onto_their_pixels(tiny_town):
    model = pycolmap.Reconstruction(tiny_town / "model")
    assert len(model.points3D) > 200
    for image in model.images.values():
        camera = model.cameras[image.camera_id]
        for seen in image.points2D:
            local = image.cam_from_world() * model.points3D[seen.point3D_id].xyz
            assert np.abs(camera.img_from_cam(local) - seen.xy).max() < 0.01
    assert min(point.track.length() for point in model.points3D.values()) >= 2


def test_the_colmap_poses_are_those_of_the_metadata(tiny_town):
    model, frame = pycolmap.Reconstruction(tiny_town / "model"), local_frame(town.REFERENCE)
    meta = json.loads((tiny_town / "truth" / "metadata.json").read_text())
    by_name = {image.name: image for image in model.images.values()}
    for photo in meta["photos"]:
        ecef = c2w_from_colmap(by_name[photo["image"]].cam_from_world().matrix())
        enu = frame.convert(FrameName.ECEF, FrameName.ENU).pose(ecef)
        np.testing.assert_allclose(enu, photo["camera_to_world"], atol=1e-6)


def test_every_point_is_the_surface_that_its_photos_see(tiny_town):
    model, frame = pycolmap.Reconstruction(tiny_town / "model"), local_frame(town.REFERENCE)
    to_enu = frame.convert(FrameName.ECEF, FrameName.ENU)
    for image in model.images.values():
        ecef = np.array([model.points3D[seen.point3D_id].xyz for seen in image.points2D])
        eye, away = to_enu.points(image.projection_center()), to_enu.points(ecef)
        away = away - eye
        distance = np.linalg.norm(away, axis=-1)
        hits = world(TINY, False).caster.nearest(np.broadcast_to(eye, away.shape), away / distance[:, None])
        assert len(hits) == len(away)
        assert np.abs(distance - hits.distance_m).max() < 0.1


def test_change_is_marked_where_the_two_worlds_differ_and_nowhere_else(tiny_town):
    shots = shots_of(TINY, False)
    for number in (0, 3):
        shot, (_, arrays) = shots[number], truth(tiny_town, number)
        here, there = (town.picture_and_truth(shot, world(TINY, after)) for after in (False, True))
        steps = np.abs(here["photo"].astype(int) - there["photo"]).max(-1)
        moved = np.abs(here["depth"] - there["depth"]) > 0.02
        assert (steps[~arrays["change"]] <= 2).all()
        assert not moved[~arrays["change"]].any()
        assert (moved | (steps >= 2))[arrays["change"]].all()
        assert 0.01 < arrays["change"].mean() < 0.8


def test_the_number_of_processes_does_not_change_a_byte(tiny_town, tmp_path):
    make_town(TINY, tmp_path / "again", jobs=2)
    assert digest(tmp_path / "again") == digest(tiny_town)


def _die_after_two_photos(output: Path) -> None:
    original, done = town.do_shot, []

    def do_shot(task: town.Task) -> None:
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(original(task))

    town.do_shot = do_shot
    make_town(TINY, output, jobs=1)


def test_a_killed_run_is_gone_on_with(tiny_town, tmp_path):
    output = tmp_path / "killed"
    process = multiprocessing.get_context("fork").Process(target=_die_after_two_photos, args=(output,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not output.exists()
    kept = {path: path.stat().st_mtime_ns for path in partial_folder(output).glob("images/*.jpg")}
    assert len(kept) == 2
    make_town(TINY, output, jobs=1)
    assert digest(output) == digest(tiny_town)
    assert all((output / "images" / path.name).stat().st_mtime_ns == at for path, at in kept.items())


def test_what_a_run_with_other_settings_left_is_not_used(tmp_path):
    output = tmp_path / "town"
    stale = partial_folder(output) / "images" / "stale.jpg"
    stale.parent.mkdir(parents=True)
    stale.touch()
    make_town(replace(TINY, photos=2, event="none"), output, jobs=1)
    assert sorted(path.name for path in (output / "images").iterdir()) == ["town_0001.jpg", "town_0002.jpg"]
    assert not (output / "event").exists()


def test_a_flight_far_above_the_town_has_points_too(tmp_path):
    request = replace(TINY, altitude_m=400.0, photos=3, event="none", flight="grid")
    summary = make_town(request, tmp_path / "high", jobs=1)
    assert summary["flights"][0]["points"] > 20


def test_a_run_that_ends_while_all_is_brought_to_the_disk_has_lost_no_photo(tmp_path, monkeypatch):
    request = replace(TINY, photos=2, event="none")
    with monkeypatch.context() as patched:
        patched.setattr(atomic_files, "sync_tree", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_town(request, tmp_path / "town", jobs=1)
    monkeypatch.setattr(town, "do_shot", None)
    make_town(request, tmp_path / "town", jobs=1)
    assert not list((tmp_path / "town").rglob(".*"))


def _interrupted(folder: Path) -> None:
    raise KeyboardInterrupt


def test_exposure_varies_between_photos_as_recorded(tiny_town):
    shots = shots_of(TINY, False)
    meta = json.loads((tiny_town / "truth" / "metadata.json").read_text())
    assert [photo["exposure"]["gain"] for photo in meta["photos"]] == [shot.exposure.gain for shot in shots]
    assert len({shot.exposure.gain for shot in shots}) == len(shots)


def test_photos_tell_when_they_were_taken(tiny_town):
    with Image.open(tiny_town / "images" / "town_0002.jpg") as photo:
        assert photo.getexif().get_ifd(0x8769)[0x9003] == "2025:06:14 10:30:03"


def test_an_existing_output_is_refused(tiny_town):
    with pytest.raises(OutputExists, match="--force"):
        make_town(TINY, tiny_town, jobs=1)


@pytest.mark.parametrize(("wrong", "flag"), [({"photos": 1}, "--photos"), ({"altitude_m": 5.0}, "--altitude"),
                                             ({"resolution": (4, 300)}, "--resolution"), ({"seed": -1}, "--seed"),
                                             ({"size_m": (float("nan"), 50.0)}, "--size")])
def test_settings_out_of_range_are_refused_by_name(tmp_path, wrong, flag):
    with pytest.raises(BadUsage, match=flag):
        make_town(replace(TINY, **wrong), tmp_path / "town", jobs=1)
    assert not list(tmp_path.iterdir())
