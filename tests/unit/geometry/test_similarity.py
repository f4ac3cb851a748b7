import numpy as np
from hypothesis import given

from adaptive_nerf.geometry.similarity import Similarity
from tests.unit.geometry.strategies import similarities, vectors

points = vectors(100).map(np.array)


def same(first: Similarity, second: Similarity) -> bool:
    corners = np.eye(3) * 10
    return bool(np.allclose(first.points(corners), second.points(corners), rtol=1e-9, atol=1e-6 * second.scale))


@given(similarities)
def test_the_identity_changes_nothing(a):
    assert same(a.after(Similarity()), a)
    assert same(Similarity().after(a), a)


@given(similarities)
def test_a_map_and_its_inverse_cancel(a):
    assert same(a.after(a.inverse()), Similarity())
    assert same(a.inverse().after(a), Similarity())


@given(similarities, similarities, similarities)
def test_composition_is_associative(a, b, c):
    assert same(a.after(b).after(c), a.after(b.after(c)))


@given(similarities, similarities, points)
def test_a_composed_map_is_one_after_the_other(a, b, point):
    assert np.allclose(a.after(b).points(point), a.points(b.points(point)), rtol=1e-9, atol=1e-6)


@given(similarities, points)
def test_a_pose_moves_as_its_position_and_axes_do(a, point):
    pose = np.c_[np.eye(3), point]
    moved = a.pose(pose)
    assert np.allclose(moved[:, 3], a.points(point))
    assert np.allclose(moved[:, :3].T @ moved[:, :3], np.eye(3))
