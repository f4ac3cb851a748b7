"""The solved partition against the marched one, on random cameras, boxes, centroids and margins."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adaptive_nerf.data.routing import Routing, route_photo, tiles
from adaptive_nerf.data.routing_reference import march_photo
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.cameras import Camera, look_at
from adaptive_nerf.geometry.frames import FrameName

ROUNDING = 1e-9  # samples this near to a border, and rays this short, may fall on either side of it
BOX = Box(np.array([-0.2, -1.0, -1.0]), np.array([0.6, 1.0, 1.0]))
WIDTH, HEIGHT = 9, 7

inside = st.floats(-1.0, 1.0)
around = st.floats(-2.5, 2.5)
point = st.tuples(st.floats(-0.2, 0.6), inside, inside).map(np.array)


def camera(position, target, focal=6.0) -> Camera:
    pose = look_at(np.asarray(position, float), np.asarray(target, float), np.array([-1.0, 0.0, 0.0]))
    return Camera(WIDTH, HEIGHT, focal, focal * 1.1, 4.4, 3.6, pose, FrameName.SCENE)


@st.composite
def cameras(draw) -> Camera:
    """Inside the box and out, oblique and straight down (whose middle ray may be parallel to the box's sides)."""
    position = np.array([draw(st.floats(-1.0, 0.5)), draw(around), draw(around)])
    if draw(st.booleans()):
        return camera(position, position + np.array([1.0, 0, 0]))
    return camera(position, draw(point) + np.array([0.0, 0.013, 0.007]), draw(st.sampled_from([3.0, 30.0])))


@st.composite
def routings(draw) -> Routing:
    count = draw(st.integers(1, 9))
    centroids = np.array(draw(st.lists(point, min_size=count, max_size=count)))
    near, far = draw(st.sampled_from([(None, None), (0.3, None), (None, 0.9), (0.2, 0.7)]))
    return Routing(centroids, draw(st.sampled_from([1.0, 1.0001, 1.05, 1.5, 3.0])), draw(st.booleans()), BOX,
                   draw(st.sampled_from([2, 3, 16, 33])), draw(st.booleans()), near, far)


@given(cameras(), routings(), st.sampled_from([1, 4, 20, 1000]))
@example(camera([-0.1, 0.2, 0.0], [1.0, 0.2, 0.0]), Routing(np.array([[0, -0.5, 0], [0, 0.5, 0]]), 1, True, BOX, 9), 20)
@settings(max_examples=150, deadline=None)
def test_solving_agrees_with_marching(view, routing, chunk_pixels):
    fast, slow = route_photo(view, routing, chunk_pixels=chunk_pixels), march_photo(view, routing)
    short = (slow.lengths > 0) & (slow.lengths < ROUNDING)
    sure = (slow.excess <= -ROUNDING) & (slow.lengths > ROUNDING)[:, None]  # [K, n, S]
    possible = (slow.excess <= ROUNDING) & (slow.lengths > 0)[:, None]
    masks = fast.masks.reshape(len(routing.centroids), -1)
    assert not (sure.any(-1) & ~masks).any()
    assert not (masks & ~possible.any(-1))[:, ~short].any()
    assert (sure.sum((1, 2)) <= fast.counts).all()
    assert (fast.counts <= possible.sum((1, 2)) + short.sum() * routing.ray_samples).all()
    if (sure == possible).all():
        check_boxes(fast, slow)


def check_boxes(fast, slow):
    for expert, routed in enumerate(slow.routed):
        points = slow.points[routed]
        low, high = (points.min(0), points.max(0)) if len(points) else (np.full(3, np.inf), np.full(3, -np.inf))
        np.testing.assert_allclose(fast.mins[expert], low, atol=1e-9)
        np.testing.assert_allclose(fast.maxs[expert], high, atol=1e-9)


def some_routing(**changes) -> Routing:
    given_or_usual = {"centroids": np.array([[0, y, z] for y in (-0.5, 0.5) for z in (-0.5, 0.5)], float),
                      "margin": 1.1, "cluster_2d": True, "box": BOX, "ray_samples": 64} | changes
    return Routing(**given_or_usual)


@pytest.mark.parametrize("chunk_pixels", [1, 5, 16, 10_000])
def test_the_chunk_size_changes_nothing_to_the_last_bit(chunk_pixels):
    view = camera([-0.1, 0.2, 0.1], [0.6, -0.1, 0.3])
    whole, part = route_photo(view, some_routing()), route_photo(view, some_routing(), chunk_pixels=chunk_pixels)
    for name in ("masks", "counts", "mins", "maxs"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(part, name))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 500))
def test_tiles_cover_every_pixel_once_and_hold_the_limit(width, height, chunk_pixels):
    seen = np.zeros((height, width), int)
    for rows, columns in tiles(width, height, chunk_pixels):
        seen[rows, columns] += 1
        assert seen[rows, columns].size <= chunk_pixels
    assert (seen == 1).all()


def test_a_view_that_misses_the_box_belongs_to_nobody():
    routed = route_photo(camera([-0.5, 0, 0], [-1.0, 0.1, 0]), some_routing())
    assert not routed.masks.any()
    assert not routed.counts.any()
    assert np.isposinf(routed.mins).all()


def test_pixels_that_are_not_allowed_belong_to_nobody_and_stretch_no_box():
    view = camera([-0.1, 0.0, 0.0], [0.6, 0.01, 0.0])
    allowed = np.zeros((HEIGHT, WIDTH), bool)
    allowed[:, :2] = True
    routed, whole = route_photo(view, some_routing(), allowed), route_photo(view, some_routing())
    np.testing.assert_array_equal(routed.masks, whole.masks & allowed)
    assert routed.counts.sum() < whole.counts.sum()
    assert (routed.maxs - routed.mins)[:, 1].max() < (whole.maxs - whole.mins)[:, 1].max()


def test_one_expert_takes_every_sample():
    routed = route_photo(camera([-0.1, 0, 0], [0.6, 0.01, 0]), some_routing(centroids=np.zeros((1, 3))))
    assert routed.masks.all()
    assert routed.counts.tolist() == [WIDTH * HEIGHT * 64]


def test_without_a_margin_every_pixel_of_a_view_straight_down_has_its_nearest_expert_alone():
    routed = route_photo(camera([-0.1, 0.5, 0.5], [0.6, 0.5, 0.5], focal=40.0), some_routing(margin=1.0))
    assert routed.masks.sum(axis=(1, 2)).tolist() == [0, 0, 0, WIDTH * HEIGHT]
