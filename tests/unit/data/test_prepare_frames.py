"""Where a scene lies: the frame that prepare chooses, against pycolmap's own geodesy."""

import numpy as np
import pycolmap
import pytest

from adaptive_nerf.common.errors import BadInput, BadUsage
from adaptive_nerf.data.frame_choice import FrameSettings, choose_frame, scene_pose
from adaptive_nerf.geometry.frames import DRB_FROM_ENU, FrameName, local_frame
from adaptive_nerf.geometry.geodesy import ecef_from_geodetic
from tests.unit.data.colmap_factory import PLACE, flight_poses

ORACLE = pycolmap.GPSTransform(pycolmap.GPSTransformEllipsoid.WGS84)
POSES_ENU = flight_poses(7)
POINTS_ENU = np.random.default_rng(0).uniform([-50, -50, -3], [80, 50, 10], (500, 3))
TO_ECEF = local_frame(PLACE).convert(FrameName.ENU, FrameName.ECEF)
NAMES = [f"{index}.JPG" for index in range(7)]


def choose(centres=None, points=None, warnings=None, **settings):
    given = FrameSettings(ecef_to_enu=True, **settings) if "ecef_to_enu" not in settings else FrameSettings(**settings)
    centres = TO_ECEF.points(POSES_ENU[:, :, 3]) if centres is None else centres
    points = TO_ECEF.points(POINTS_ENU) if points is None else points
    return choose_frame(centres, points, NAMES, given, [] if warnings is None else warnings)


def geodetic(ecef):
    return ORACLE.ecef_to_ellipsoid(np.atleast_2d(ecef))[0]


@pytest.mark.parametrize(("enu_ref", "pick"), [
    ("first", lambda ecef: ecef[0]),
    ("mean", lambda ecef: ecef.mean(0)),
    ("median", lambda ecef: np.median(ecef, axis=0)),
])
def test_the_reference_is_where_the_cameras_are(enu_ref, pick):
    expected = geodetic(pick(TO_ECEF.points(POSES_ENU[:, :, 3])))
    off = np.abs(np.array(choose(enu_ref=enu_ref).enu_reference) - expected)
    assert (off < [1e-11, 1e-11, 1e-6]).all()  # degrees, degrees, metres


def test_a_custom_reference_is_taken_as_given():
    frame = choose(enu_ref="custom", custom_reference=PLACE)
    assert frame.enu_reference == PLACE
    poses = [scene_pose(frame, TO_ECEF.pose(pose), 1.0) for pose in POSES_ENU]
    back = frame.convert(FrameName.SCENE, FrameName.ENU).pose(np.stack(poses))
    np.testing.assert_allclose(back, POSES_ENU, atol=1e-6)


@pytest.mark.parametrize("enu_ref", ["first", "mean", "median"])
def test_cameras_come_back_to_their_ecef_positions(enu_ref):
    frame = choose(enu_ref=enu_ref)
    truth = TO_ECEF.pose(POSES_ENU)
    back = frame.convert(FrameName.SCENE, FrameName.ECEF).pose(np.stack([scene_pose(frame, p, 1.0) for p in truth]))
    np.testing.assert_allclose(back, truth, rtol=0, atol=1e-6)


def test_the_origin_is_the_middle_of_the_cameras_box_in_drb():
    frame = choose(enu_ref="custom", custom_reference=PLACE)
    positions = POSES_ENU[:, :, 3] @ DRB_FROM_ENU.T
    np.testing.assert_allclose(frame.origin_drb_m, (positions.min(0) + positions.max(0)) / 2, atol=1e-5)
    np.testing.assert_array_equal(frame.origin_drb_m, np.float32(frame.origin_drb_m))  # as it will be stored


@pytest.mark.parametrize(("strategy", "expected"), [
    ("camera_max", lambda away, box: away.max()),
    ("camera_p99", lambda away, box: np.quantile(away, 0.99)),
    ("bbox_diag", lambda away, box: np.linalg.norm(box) / 2),
])
def test_the_scale_follows_its_strategy(strategy, expected):
    positions = POSES_ENU[:, :, 3]
    box = np.ptp(positions, axis=0)
    away = np.linalg.norm(positions - (positions.min(0) + positions.max(0)) / 2, axis=1)
    frame = choose(enu_ref="custom", custom_reference=PLACE, scale_strategy=strategy)
    assert frame.metres_per_unit == pytest.approx(expected(away, box), rel=1e-6)


def test_the_altitude_range_ends_at_the_lowest_points_and_the_highest_camera():
    frame = choose(enu_ref="custom", custom_reference=PLACE)
    expected = np.quantile(POINTS_ENU[:, 2], 0.01), POSES_ENU[:, 2, 3].max()
    np.testing.assert_allclose(frame.altitude_range_enu_m, expected, atol=1e-4)


def test_a_point_far_below_does_not_count():
    frame = choose(enu_ref="custom", custom_reference=PLACE, maximum_allowed_height_m=20.0)
    assert frame.altitude_range_enu_m[0] == pytest.approx(POSES_ENU[:, 2, 3].min() - 20, abs=1e-4)


@pytest.mark.parametrize(("up_m", "remedy"), [(260.0, "add --maximum_allowed_height 270"), (199.0, "")])
def test_ground_too_far_below_to_count_is_told_with_the_flag_that_reaches_it(up_m, remedy):
    ground = np.array([[east, north, 0.0] for east in range(10) for north in range(10)])
    warnings = []
    choose(flight_poses(7, up_m=up_m)[:, :, 3], ground, ecef_to_enu=False, warnings=warnings)
    assert [remedy in warning for warning in warnings] == ([True] if remedy else [])


def test_a_model_without_points_says_where_its_ground_is_taken_to_be():
    warnings = []
    frame = choose(points=np.zeros((0, 3)), enu_ref="custom", custom_reference=PLACE, warnings=warnings)
    assert frame.altitude_range_enu_m[0] == pytest.approx(POSES_ENU[:, 2, 3].min() - 200, abs=1e-4)
    assert "no points" in warnings[0]


def test_a_local_model_is_metres_times_its_unit_and_has_no_reference():
    frame = choose(POSES_ENU[:, :, 3], POINTS_ENU, ecef_to_enu=False, metres_per_unit=2.0)
    assert not frame.is_georeferenced
    pose = scene_pose(frame, POSES_ENU[2], 2.0)
    back = frame.convert(FrameName.SCENE, FrameName.ENU).pose(pose)
    np.testing.assert_allclose(back[:, 3], 2 * POSES_ENU[2, :, 3], atol=1e-6)
    np.testing.assert_allclose(back[:, :3], POSES_ENU[2, :, :3], atol=1e-9)


def test_one_camera_alone_gets_a_scale_and_a_warning():
    warnings = []
    frame = choose(TO_ECEF.points(POSES_ENU[:1, :, 3]), warnings=warnings)
    assert frame.metres_per_unit == pytest.approx(frame.altitude_range_enu_m[1] - frame.altitude_range_enu_m[0])
    assert "at one place" in warnings[0]


def test_local_positions_are_not_taken_for_ecef():
    with pytest.raises(BadInput, match=r"not ECEF.*leave out --ecef_to_enu"):
        choose(POSES_ENU[:, :, 3], POINTS_ENU)


def test_one_camera_off_the_earth_is_named():
    centres = TO_ECEF.points(POSES_ENU[:, :, 3])
    centres[3] = 0
    with pytest.raises(BadInput, match=r"1 cameras are not near the Earth's surface: 3\.JPG"):
        choose(centres)


def test_ecef_positions_are_not_taken_for_local_ones():
    with pytest.raises(BadInput, match=r"look like ECEF \(about 48\.208 deg latitude\); add --ecef_to_enu"):
        choose(ecef_to_enu=False)


def test_utm_coordinates_are_local():
    offset = np.array([601_000.0, 5_340_000.0, 190.0])
    utm = POSES_ENU[:, :, 3] + offset
    frame = choose(utm, POINTS_ENU + offset, ecef_to_enu=False)
    pose = scene_pose(frame, np.column_stack([POSES_ENU[0, :, :3], utm[0]]), 1.0)
    back = frame.convert(FrameName.SCENE, FrameName.ENU).points(pose[:, 3])
    np.testing.assert_allclose(back, utm[0], rtol=0, atol=1e-6)


def test_utm_that_could_be_ecef_at_the_equator_is_a_warning():
    warnings = []
    offset = np.array([500_000.0, 6_358_000.0, 100.0])
    choose(POSES_ENU[:, :, 3] + offset, POINTS_ENU + offset, ecef_to_enu=False, warnings=warnings)
    assert "could be ECEF" in warnings[0]


def test_a_model_upside_down_is_refused():
    with pytest.raises(BadInput, match=r"\+Z is not up; turn it first: colmap model_aligner .*--alignment_type plane "):
        choose(POSES_ENU[:, :, 3] * [1, -1, -1], POINTS_ENU * [1, -1, -1], ecef_to_enu=False)


@pytest.mark.parametrize(("reference", "problem"), [
    (None, "needs --enu_ref_lat"),
    ((95.0, 16.0, 0.0), "no latitude"),
    ((16.3738, 48.2082, 190.0), "exchanged"),
])
def test_a_custom_reference_that_cannot_be_meant_is_refused(reference, problem):
    with pytest.raises(BadUsage, match=problem):
        choose(enu_ref="custom", custom_reference=reference)


def test_our_place_is_where_pycolmap_says():
    np.testing.assert_allclose(geodetic(ecef_from_geodetic(np.array(PLACE))), PLACE, atol=1e-8)
