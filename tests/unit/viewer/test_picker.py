"""Whom a click believes: the model, or the survey."""

from types import SimpleNamespace

import numpy as np
import pytest

from adaptive_nerf.rendering.types import Frame, Quality
from adaptive_nerf.viewer.picker import Picker
from adaptive_nerf.viewer.witnesses import FEW

SURVEY = np.column_stack([np.random.default_rng(1).uniform(-90, 90, (9000, 2)), np.zeros(9000)])


@pytest.fixture
def pick(local, camera_above):
    """Of a click in the middle of a picture from 50 m above: what is shown stands so high."""
    def make(shown_m, photos, survey=SURVEY):
        depth = np.full((48, 64), np.nan if shown_m is None else 50 - shown_m, np.float32)
        frame = Frame(camera_above(local, (0, -0.01, 50)), "v1", Quality.FULL, depth_m=depth)
        picker = Picker(local, SimpleNamespace(count=lambda place: photos))
        if survey is not None:
            picker.learn_survey(survey)
        return picker.pick(frame, 0.5, 0.5)
    return make


@pytest.mark.parametrize(("shown_m", "photos", "is_survey"), [
    (None, 0, True),  # nothing is shown
    (None, 40, True),
    (2.0, FEW - 1, True),  # a fog over the road
    (2.0, FEW, False),
    (9.0, FEW - 1, False),  # a house
    (-1.0, FEW - 1, True),
])
def test_the_survey_is_believed_where_hardly_any_photo_looks(pick, shown_m, photos, is_survey):
    picked = pick(shown_m, photos)
    assert (picked.survey_m is not None) is is_survey
    assert picked.enu_m[2] == pytest.approx(0 if is_survey else shown_m, abs=0.02)
    assert picked.distance_m == pytest.approx(50 - picked.enu_m[2], abs=0.02)
    assert picked.grain_m == pytest.approx(picked.distance_m / 50)


def test_without_a_survey_the_model_is_all_there_is(pick):
    assert pick(2.0, 1, survey=None).survey_m is None
    assert pick(None, 1, survey=None) is None


def test_what_few_photos_see_is_taken_as_shown_where_the_survey_knows_no_ground_either(pick):
    assert pick(2.0, 1, survey=SURVEY + np.array([1e4, 0, 0])).enu_m[2] == pytest.approx(2.0, abs=0.02)
