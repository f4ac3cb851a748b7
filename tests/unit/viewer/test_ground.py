"""The survey's ground, against towns whose ground is known on paper."""

import numpy as np
import pytest

from adaptive_nerf.viewer.ground import FARTHEST_M, ground_of

CAMERA = np.array([0.0, -150.0, 120.0])


def height_m(places):
    """A hillside, eight metres to the hundred."""
    return 3 + 0.08 * places[..., 0] + 0.02 * places[..., 1]


@pytest.fixture
def survey():
    """Points on the hillside within fifty metres, a row of houses fifty metres long and eight high, and errors."""
    random = np.random.default_rng(2)
    points = np.column_stack([random.uniform(-50, 50, (6000, 2)), np.zeros(6000)])
    on_house = (np.abs(points[:, :2]) < (8, 25)).all(1)
    points[:, 2] = height_m(points) + 8 * on_house + random.normal(0, 0.05, 6000)
    errors = np.array([[20.0, 20, -90], [-30, 10, -12], [-30.3, 10.3, -12], [85, -40, -9], [90, 10, -200], [70, 70, 60],
                       [-6e4, 9e3, 3]])
    return np.concatenate([points, errors, [[np.nan, 0, 0]]])


def ray_to(place):
    place = np.array([*place, height_m(np.array(place))])
    return place, CAMERA, place - CAMERA


@pytest.mark.parametrize("at", [(30, -20), (-40, 30), (20, 20), (-30, 10), (-15, -40), (0, 45)])
def test_the_ground_is_found_where_the_survey_has_points_of_it_whatever_errors_lie_among_them(survey, at):
    place, origin, direction = ray_to(at)
    hit = ground_of(survey).hit(origin, direction)
    assert np.linalg.norm(hit.enu_m - place) < 0.6
    assert hit.away_m < 5


@pytest.mark.parametrize(("at", "nearest", "away_m"), [((45, 110), (45, 50), 60), ((88, -40), (50, -40), 38)])
def test_beyond_it_goes_on_from_the_nearest_that_is_known(survey, at, nearest, away_m):
    _, origin, direction = ray_to(at)
    hit = ground_of(survey).hit(origin, direction)
    assert hit.enu_m[2] == pytest.approx(height_m(np.array(nearest)), abs=1.0)
    assert hit.away_m == pytest.approx(away_m, abs=12)


def test_single_points_count_where_they_go_on_as_the_ground_beside_them(survey):
    row = np.arange(52.0, 120.0, 7.0)
    road = np.column_stack([row, np.zeros((len(row), 2))])
    road[:, 2] = height_m(road)
    _, origin, direction = ray_to((112.0, 0.0))
    ground = ground_of(np.concatenate([survey, road]))
    assert ground.hit(origin, direction).enu_m[2] == pytest.approx(height_m(np.array([112.0, 0.0])), abs=0.8)
    assert ground_of(survey).hit(origin, direction).enu_m[2] < height_m(np.array([80.0, 0.0]))


def test_ground_behind_houses_is_not_what_one_sees(survey):
    ground = ground_of(survey)
    behind, origin, direction = ray_to((0.0, 28.0))
    assert ground.hit(origin, direction) is None
    assert ground.hit(np.array([0.0, 0.0, 90.0]), np.array([0.0, 0.01, -1.0])) is None
    assert ground.hit(behind + np.array([0.0, 0.0, 90.0]), np.array([0.0, 0.01, -1.0])) is not None  # from above


@pytest.mark.parametrize(("up_m", "direction"), [(60, (0, 1, 0.2)), (60, (0, 1, 0)), (60, (0, 1, -0.12)),
                                                 (4, (0, 1, -0.04))])
def test_nothing_is_found_in_the_sky_nor_far_off_nor_almost_along_the_ground(survey, up_m, direction):
    origin = np.array([20.0, 0.0, up_m + height_m(np.array([20.0, 0.0]))])
    assert ground_of(survey).hit(origin, np.array(direction, float)) is None


def test_far_off_counts_from_what_is_known(survey):
    ground = ground_of(survey)
    for beyond_m, is_found in ((FARTHEST_M - 20, True), (FARTHEST_M + 20, False)):
        hit = ground.hit(np.array([0.0, 50 + beyond_m, 500.0]), np.array([0.0, 0.0, -1.0]))
        assert (hit is not None) is is_found


def test_from_below_the_ground_there_is_none(survey):
    assert ground_of(survey).hit(np.array([30.0, 30.0, -40.0]), np.array([0.0, 0.1, -1.0])) is None


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((9, 3), np.nan), np.array([[0.0, 0, 0], [50, 50, 0]])])
def test_a_survey_that_tells_too_little_has_no_ground(points):
    assert ground_of(points) is None


def test_points_of_one_place_are_a_ground_too():
    hit = ground_of(np.tile([[5.0, 5.0, 1.0]], (4, 1))).hit(np.array([5.0, 5.0, 9.0]), np.array([0.1, 0.0, -1.0]))
    assert hit.enu_m == pytest.approx([5.8, 5.0, 1.0])
