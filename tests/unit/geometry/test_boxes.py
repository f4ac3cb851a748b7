import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptive_nerf.geometry.boxes import Box, global_box, slab_interval
from adaptive_nerf.geometry.frames import SceneFrame
from tests.unit.geometry.strategies import vectors

UNIT = Box(np.zeros(3), np.ones(3))
coordinates = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]) | st.floats(-3, 3)
anywhere = st.tuples(coordinates, coordinates, coordinates).map(np.array)


@given(anywhere, vectors(1).map(np.array))
@example(np.array([0.0, 0.5, 0.5]), np.array([0.0, 0.0, 1.0]))  # along a face
@example(np.array([0.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0]))  # no direction at all
@example(np.array([2.0, 0.5, 0.5]), np.array([5e-324, 1.0, 0.0]))
def test_no_ray_gives_nan_and_no_interval_is_upside_down(origin, direction):
    near, far, hits = slab_interval(origin[None], direction[None], UNIT)
    assert np.isfinite(near).all()
    assert np.isfinite(far).all()
    assert (far > near).tolist() == hits.tolist()


# Rounded: a ray that leaves a face by 1e-70 a metre is beyond what a march can tell.
directions = vectors(1).map(lambda v: np.round(v, 3)).filter(lambda v: np.linalg.norm(v) > 0.1)


@given(anywhere.map(lambda origin: np.round(origin, 3)), directions.map(lambda v: v / np.linalg.norm(v)))
def test_the_interval_is_where_a_fine_march_finds_the_box(origin, direction):
    near, far, hits = (value[0] for value in slab_interval(origin[None], direction[None], UNIT))
    distances = np.linspace(0, 12, 4001)
    inside = distances[UNIT.contains(origin + distances[:, None] * direction)]
    if len(inside) > 1:
        assert hits
        assert abs(near - inside[0]) <= 0.0031
        assert abs(far - inside[-1]) <= 0.0031
    else:
        assert far - near <= 0.0061


@pytest.mark.parametrize("y", [0.0, 0.5, 1.0])
def test_a_ray_along_a_face_or_parallel_to_it_is_inside(y):
    near, far, hits = slab_interval(np.array([[-1.0, y, 0.5]]), np.array([[1.0, 0, 0]]), UNIT)
    assert (near[0], far[0], hits[0]) == (1, 2, True)


def test_a_ray_that_misses_or_looks_away_is_not_valid():
    origins = np.array([[-1.0, 2.0, 0.5], [2.0, 0.5, 0.5]])
    near, far, hits = slab_interval(origins, np.array([[1.0, 0, 0], [1.0, 0, 0]]), UNIT)
    assert not hits.any()
    assert near.tolist() == far.tolist() == [0, 0]


def test_single_precision_rays_stay_single_precision():
    near, far, _ = slab_interval(np.full((1, 3), 0.5, np.float32), np.array([[1, 0, 0]], np.float32), UNIT)
    assert near.dtype == far.dtype == np.float32


def test_the_global_box_has_its_pad_in_metres_on_both_sides():
    frame = SceneFrame((-5.0, 0.0, 0.0), 100.0, None, (-20.0, 80.0))
    box = global_box(frame, 1.1, 10.0)
    assert np.allclose(box.low, [(-90 + 5) / 100, -1.1, -1.1])
    assert np.allclose(box.high, [(30 + 5) / 100, 1.1, 1.1])
