"""Survey points of a small flight whose every place is known."""

import shutil

import numpy as np
import pytest

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.frame_choice import FrameSettings
from adaptive_nerf.data.prepare import PrepareSettings, prepare_scene
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.geometry.frames import FrameName, local_frame
from adaptive_nerf.viewer import survey_points
from adaptive_nerf.viewer.survey_points import NO_PHOTO, thinned_evenly
from tests.unit.data.colmap_factory import PLACE, flight_poses, plain_colour, write_flight

NAMES = [f"DJI_{index:04d}.JPG" for index in range(8)]


@pytest.fixture
def flown(tmp_path):
    def make(ecef=True, name="raw", east_m=0.0, **settings):
        flight = write_flight(tmp_path / name, NAMES, flight_poses(len(NAMES), east_m), "PINHOLE", ecef, False)
        prepare_scene(PrepareSettings(flight.root, tmp_path / f"{name}-scene", 0.25,
                                      FrameSettings(ecef_to_enu=ecef, **settings)))
        return flight, open_scene(tmp_path / f"{name}-scene")
    return make


def same_places(found, expected):
    """In whatever order COLMAP keeps them."""
    gaps = np.linalg.norm(found[:, None] - expected[None], axis=-1)
    return len(found) == len(expected) and gaps.min(0).max() < 0.01 and gaps.min(1).max() < 0.01


def test_points_lie_where_they_were_measured(flown):
    flight, scene = flown()
    found = survey_points.survey_points(scene, flight.model)
    ecef = scene.frame.convert(FrameName.VIEWER, FrameName.ECEF).points(found.positions_viewer)
    expected = local_frame(PLACE).convert(FrameName.ENU, FrameName.ECEF).points(flight.points_enu)
    assert same_places(ecef, expected)


@pytest.mark.parametrize("metres", [1.0, 2.5])
def test_without_a_geo_reference_the_cameras_tell_the_scale(flown, metres):
    flight, scene = flown(ecef=False, metres_per_unit=metres)
    found = survey_points.survey_points(scene, flight.model)
    enu = scene.frame.convert(FrameName.VIEWER, FrameName.ENU).points(found.positions_viewer)
    assert same_places(enu, flight.points_enu * metres)


def test_points_have_the_colours_of_the_photos(flown):
    flight, scene = flown()
    found = survey_points.survey_points(scene, flight.model)
    ecef = scene.frame.convert(FrameName.VIEWER, FrameName.ECEF).points(found.positions_viewer)
    enu = local_frame(PLACE).convert(FrameName.ECEF, FrameName.ENU).points(ecef)
    seen = (found.colours != NO_PHOTO).any(1)
    on_ground = seen & (np.abs(enu[:, 2]) < 0.5)
    assert seen.sum() > 80
    assert on_ground.sum() >= 3
    wrong = np.abs(found.colours[on_ground] - plain_colour(enu[on_ground, :2]).astype(float))
    assert wrong.max() < 25


def test_the_model_of_another_scene_is_left_out(flown):
    _, scene = flown()
    other, _ = flown(name="other", east_m=400.0)
    assert survey_points.survey_points(scene, other.model) is None


def test_a_damaged_model_is_named(flown):
    flight, scene = flown()
    points = flight.model / "points3D.bin"
    points.write_bytes(points.read_bytes()[:100])
    with pytest.raises(BadData, match="cannot be read"):
        survey_points.survey_points(scene, flight.model)
    shutil.rmtree(flight.model)
    with pytest.raises(BadData):
        survey_points.survey_points(scene, flight.model)


@pytest.mark.parametrize(("program", "words"), [
    ("import sys; sys.stderr.write('Segmentation fault'); sys.exit(4)", r"exit 4: Segmentation fault"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit -9: no message"),
    ("print('PK\\x03\\x04 and no more')", "its reader wrote half of it")])
def test_a_reader_that_ends_badly_is_told_with_its_last_words(tmp_path, flown, monkeypatch, program, words):
    (tmp_path / "bad_reader.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(survey_points, "READER", "bad_reader")
    with pytest.raises(BadData, match=words):
        survey_points.read_survey(tmp_path)


def test_a_reader_is_given_up_when_the_page_ends(tmp_path, monkeypatch):
    (tmp_path / "slow_reader.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(survey_points, "READER", "slow_reader")
    asked = []
    with pytest.raises(BadData, match="not done"):
        survey_points.read_survey(tmp_path, lambda: asked.append(1) or len(asked) > 1)
    assert len(asked) == 2


def test_a_large_cloud_is_thinned_everywhere_alike(monkeypatch):
    monkeypatch.setattr(survey_points, "MOST_POINTS", 1000)
    kept = thinned_evenly(100_000)
    assert len(np.unique(kept)) == 1000
    assert np.histogram(kept, 10, (0, 100_000))[0].min() > 80
    assert (thinned_evenly(100_000) == kept).all()
    assert len(thinned_evenly(999)) == 999


@pytest.mark.parametrize("place", ["", "town", "town/out", "town/out/prepared"])
def test_the_model_is_looked_for_wherever_it_may_be(tmp_path, place):
    scene = tmp_path / "town" / "out" / "prepared"
    scene.mkdir(parents=True)
    (tmp_path / place / "model").mkdir()
    found = survey_points.model_folders(scene, tmp_path, [tmp_path])
    assert found == [tmp_path / place / "model"]


def test_it_is_not_read_outside_of_where_jobs_may_read(tmp_path):
    scene = tmp_path / "allowed" / "out" / "prepared"
    scene.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "allowed" / "model").symlink_to(tmp_path / "elsewhere")
    assert survey_points.model_folders(scene, scene, [tmp_path / "allowed"]) == []
