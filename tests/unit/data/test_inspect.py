from io import StringIO

import pytest
from PIL import Image
from rich.console import Console

from adaptive_nerf.data.facts_tables import print_facts
from adaptive_nerf.data.inspect import off_nadir_deg, scene_facts
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.geometry.frames import SceneFrame
from tests.unit.data.scene_factory import write_scene


@pytest.fixture
def scene(tmp_path):
    return open_scene(write_scene(tmp_path / "scene"))


def test_facts_count_photos_and_measure_in_metres(scene):
    facts = scene_facts(scene)
    assert facts["photos"] == {"train": 4, "val": 2, "later flights": {}}
    assert facts["sizes"] == {"32x24": 6}
    assert facts["camera_span_m"] == pytest.approx({"east": 50, "north": 0, "up": 0}, abs=0.01)
    assert facts["camera_height_over_lowest_m"]["median"] == pytest.approx(60, abs=0.1)
    assert facts["ground_pixel_below_camera_cm"] == pytest.approx(200)


def test_cameras_that_look_straight_down_are_in_the_first_band(scene):
    assert off_nadir_deg(scene.photos).max() < 0.1
    assert next(iter(scene_facts(scene)["pitch_bands"].values())) == 6


def test_the_ground_below_the_cameras_is_covered(scene):
    # 32 pixels of 2 m see 32 m to either side, so the middle of a 50 m line is seen by all but the farthest.
    coverage = scene_facts(scene)["coverage"]
    assert coverage["seen_by_1_or_more_pct"] == 100
    assert coverage["seen_by_10_or_more_pct"] == 0
    assert 3 <= coverage["photos_per_point_median"] <= 6


def test_a_picture_of_another_shape_and_an_unreadable_one_are_warned_of(scene):
    Image.new("RGB", (24, 32)).save(scene.photos[1].image_path)
    scene.photos[2].image_path.write_text("hello")
    wrong_shape, unreadable = scene_facts(scene)["warnings"]
    assert wrong_shape.endswith("000001.jpg is 24x32, its metadata says 32x24")
    assert unreadable.endswith("000002.jpg is not a readable picture")


def test_a_picture_too_large_to_be_one_is_warned_of(scene, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 24 // 3)
    assert len([warning for warning in scene_facts(scene)["warnings"] if "is not a readable picture" in warning]) == 6


def test_a_picture_rounded_to_whole_pixels_has_the_shape_of_its_photo(scene):
    Image.new("RGB", (5, 4)).save(scene.photos[1].image_path)  # of 32x24
    assert scene_facts(scene)["warnings"] == []


def test_a_scene_without_reference_says_so(tmp_path):
    local = SceneFrame((-40.0, 10.0, -20.0), 60.0, None, (-10.0, 50.0))
    facts = scene_facts(open_scene(write_scene(tmp_path / "local", frame=local)))
    assert facts["georeferenced"] is False
    assert facts["reference"] is None


def test_tables_tell_units_rows_and_warnings():
    facts = {"camera_span_m": {"east": 1.5}, "ok": True, "experts": [{"id": 0, "share_pct": 12.5}],
             "warnings": ["photo 3 is [/odd]"]}
    console = Console(width=80, record=True, file=StringIO())
    print_facts("Scene", facts, console)
    text = console.export_text()
    for expected in ("camera span, m", "east: 1.5", "yes", "share, %", "12.5", "warning: photo 3 is [/odd]"):
        assert expected in text
