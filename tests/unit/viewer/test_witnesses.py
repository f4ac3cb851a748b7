from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.viewer.witnesses import FEW, Witnesses, few_words


@pytest.fixture
def photos():
    """Forty, here and there over the town, looking wherever they please."""
    random = np.random.default_rng(3)
    return [Photo(number, "train", "", Path(), Path(), None, 640, 480,
                  np.column_stack([Rotation.random(random_state=number).as_matrix(), random.uniform(-1, 1, 3)]),
                  (500.0, 510.0, 250.0, 120.0)) for number in range(40)]


def test_they_are_counted_as_each_camera_tells_it(photos, local):
    witnesses, counts = Witnesses(photos, local), []
    for place in np.random.default_rng(5).uniform(-100, 100, (60, 3)):
        seen = 0
        for photo in photos:
            camera = photo.camera(local.metres_per_unit).in_frame(FrameName.ENU, local)
            (pixel,), (depth_m,) = camera.project(place[None])
            seen += depth_m > 0 and 0 <= pixel[0] < 640 and 0 <= pixel[1] < 480
        counts.append(seen)
        assert witnesses.count(place) == seen
    assert len(set(counts)) > 4


def test_a_scene_without_photos_shows_no_place(local):
    assert Witnesses([], local).count(np.zeros(3)) == 0


@pytest.mark.parametrize(("count", "begins"), [
    (0, "**No photo of those it was trained on sees this place"),
    (1, "**Only one photo of those it was trained on sees this place"),
    (FEW - 1, f"**Only {FEW - 1} photos of those it was trained on see this place"), (FEW, "")])
def test_who_measures_where_few_photos_look_is_told_so(count, begins):
    assert few_words(count).startswith(begins)
    assert bool(few_words(count)) == bool(begins)
