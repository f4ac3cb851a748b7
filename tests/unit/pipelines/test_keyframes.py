import json

import numpy as np
import pytest

from adaptive_nerf.common.errors import BadData, NotGeoreferenced
from adaptive_nerf.geometry.frames import FrameName, local_frame
from adaptive_nerf.pipelines.camera_paths import upright_pose
from adaptive_nerf.pipelines.keyframes import keyframe_path

SIZE = (96, 54)
CORNERS = [{"position": place, "look_at": [0, 0, 0]}
           for place in ([0, -80, 60], [80, 0, 60], [0, 80, 40], [-80, 0, 40])]


@pytest.fixture
def cameras(tmp_path):
    def fly(keyframes, frames=31, frame=None, **more):
        path = tmp_path / "flight.json"
        path.write_text(json.dumps({"keyframes": keyframes, **more}))
        return keyframe_path(path, frame or local_frame(), frames, SIZE)
    return fly


def places(cameras):
    return np.stack([camera.c2w[:, 3] for camera in cameras])


def test_the_flight_passes_through_its_keyframes_and_looks_where_they_look(cameras):
    flight = cameras(CORNERS)
    np.testing.assert_allclose(places(flight)[[0, 10, 20, 30]], [key["position"] for key in CORNERS], atol=1e-9)
    for camera in (flight[0], flight[10], flight[20], flight[30]):
        np.testing.assert_allclose(camera.project(np.zeros((1, 3)))[0], [[48, 27]], atol=1e-6)


def test_between_keyframes_positions_follow_a_catmull_rom_curve(cameras):
    p = np.array([key["position"] for key in CORNERS], float)
    middle = (-p[0] + 9 * p[1] + 9 * p[2] - p[3]) / 16
    np.testing.assert_allclose(places(cameras(CORNERS))[15], middle, atol=1e-9)


def test_rotations_turn_evenly_and_stay_level_between_equal_pitches(cameras):
    poses = [upright_pose(np.array([10.0 * n, 0, 50]), 40.0 * n, 30).tolist() for n in range(2)]
    flight = cameras([{"pose": pose} for pose in poses], frames=5)
    for camera, heading in zip(flight, (0, 10, 20, 30, 40), strict=True):
        np.testing.assert_allclose(camera.c2w[:, :3], upright_pose(np.zeros(3), heading, 30)[:, :3], atol=1e-9)


def test_velocity_is_continuous_at_keyframes(cameras):
    steps = np.diff(places(cameras(CORNERS, frames=3001)), axis=0)
    jumps = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    assert jumps.max() < 0.01 * np.linalg.norm(steps, axis=1).min()


def test_times_say_when_a_keyframe_is_reached(cameras):
    timed = [{**key, "time_s": time_s} for key, time_s in zip(CORNERS, (0, 1, 3, 6), strict=True)]
    np.testing.assert_allclose(places(cameras(timed))[[5, 15]], [CORNERS[1]["position"], CORNERS[2]["position"]])


def test_a_loop_joins_its_beginning_smoothly(cameras):
    flight = cameras(CORNERS, frames=400, loop=True)
    steps = np.diff(places([*flight, *flight[:2]]), axis=0)
    assert np.linalg.norm(np.diff(steps, axis=0), axis=1)[-2:].max() < 0.05 * np.linalg.norm(steps, axis=1).min()


def test_latitude_and_longitude_are_places_in_the_scene(cameras):
    frame = local_frame((48.2, 16.4, 180.0))
    wanted = np.array([[30.0, 40.0, 50.0], [0, 0, 0], [-30, 10, 60], [5, 5, 0]])
    geodetic = frame.geodetic_from(FrameName.ENU, wanted).tolist()
    keys = [{"position": geodetic[0], "look_at": geodetic[1]}, {"position": geodetic[2], "look_at": geodetic[3]}]
    flight = cameras(keys, frames=2, frame=frame, coordinates="geodetic", field_of_view_deg=90)
    np.testing.assert_allclose(places(flight), wanted[[0, 2]], atol=1e-5)
    np.testing.assert_allclose(flight[0].project(wanted[1:2])[0], [[48, 27]], atol=1e-3)
    assert flight[0].fx == pytest.approx(48)


def test_without_georeference_there_are_no_degrees(cameras):
    with pytest.raises(NotGeoreferenced):
        cameras(CORNERS, coordinates="geodetic")


GOOD = CORNERS[0]


@pytest.mark.parametrize(("keyframes", "more", "told"), [
    ([GOOD], {}, "keyframes.*at least 2"),
    ([GOOD, {"position": [0, 0, 5]}], {}, "keyframes.1.*position and look_at, or pose"),
    ([GOOD, {"position": [0, 0, 5], "look_at": [0, 0, 5]}], {}, "keyframes.1.look_at.*own position"),
    ([GOOD, {"position": [0, 0], "look_at": [0, 0, 5]}], {}, r"keyframes\.1\.position"),
    ([GOOD, {"position": [0, 0, "5"], "look_at": [0, 0, 0]}], {}, r"keyframes\.1\.position\.2.*valid number"),
    ([GOOD, {"position": [0, 0, float("nan")], "look_at": [0, 0, 0]}], {}, r"keyframes\.1\.position\.2.*finite"),
    ([GOOD, {"position": [0, 6e6, 5], "look_at": [0, 0, 5]}], {}, "keyframes.1.position.*6000 km"),
    ([GOOD, {**GOOD, "roll": 3}], {}, r"keyframes\.1\.roll.*not permitted"),
    ([GOOD, {"pose": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}], {}, r"keyframes\.1\.pose.*no rotation"),
    ([GOOD, {"pose": [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}], {}, r"keyframes\.1\.pose.*no rotation"),
    ([{**GOOD, "time_s": 1}, GOOD], {}, "1 of 2 key-frames have a time_s"),
    ([{**GOOD, "time_s": 1}, {**GOOD, "time_s": 1}], {}, r"keyframes\.1\.time_s.*not after"),
    ([GOOD, GOOD], {"format_version": 2}, "format_version"),
    ([GOOD, GOOD], {"field_of_view_deg": 170}, "field_of_view_deg"),
    ([GOOD, GOOD], {"speed": 1}, "speed"),
])
def test_what_is_wrong_is_named(cameras, keyframes, more, told):
    with pytest.raises(BadData, match=f"flight.json.*{told}"):
        cameras(keyframes, **more)


def test_degrees_out_of_range_are_named(cameras):
    keys = [{"position": [98.2, 16.4, 200], "look_at": [48.2, 16.4, 180]}] * 2
    with pytest.raises(BadData, match=r"keyframes\.0.*latitude within 90"):
        cameras(keys, frame=local_frame((48.2, 16.4, 180.0)), coordinates="geodetic")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"x"', "\0"])
def test_a_file_that_holds_no_keyframes_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadData, match=r"a\.json"):
        keyframe_path(tmp_path / "a.json", local_frame(), 10, SIZE)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    with pytest.raises(BadData, match="is missing"):
        keyframe_path(tmp_path / "none.json", local_frame(), 10, SIZE)
    with pytest.raises(BadData, match="cannot be read"):
        keyframe_path(tmp_path, local_frame(), 10, SIZE)
