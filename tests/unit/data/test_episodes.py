from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from adaptive_nerf.data.episodes import Cell, ground_cells, pixels_of, points_in
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.geometry.boxes import Box
from tests.unit.data.scene_factory import camera_at
from tests.unit.geometry.strategies import cameras, vectors

GROUND_X = 0.8
BOXES = [Box(np.array([0.0, -1.0, -1.0]), np.array([1.0, 0.0, 1.0])),
         Box(np.array([0.0, 0.0, -1.0]), np.array([1.0, 1.0, 1.0]))]


def seen_by(camera, valid=None) -> LoadedPhoto:
    shape = (camera.height, camera.width)
    return LoadedPhoto(None, camera, np.zeros((*shape, 3), np.uint8), np.ones(shape, bool) if valid is None else valid)


def overhead(east_m, north_m=20.0) -> LoadedPhoto:
    """(10, 20) m is the middle of the scene."""
    return seen_by(camera_at(east_m, north_m))


@given(cameras.map(lambda camera: camera.resized(30, 20)), st.lists(vectors(60), min_size=1, max_size=20))
def test_a_point_is_seen_in_the_pixel_that_it_projects_to(camera, points):
    points = np.array(points)
    ahead = (camera.c2w[:, 3] - points) @ camera.c2w[:, 2]
    assume((np.abs(ahead) > 1e-9).all())  # not in the very plane of the camera
    found = pixels_of(points, seen_by(camera))
    places, depth_m = camera.project(points)
    for pixel, (x, y), depth in zip(found, places, depth_m, strict=True):
        inside = depth > 0 and 0 <= x < 30 and 0 <= y < 20
        assert pixel == (int(y) * 30 + int(x) if inside else -1)


def test_masked_pixels_see_nothing():
    camera = camera_at(10, 20)
    points = np.stack(np.meshgrid(GROUND_X, np.linspace(-1, 1, 40), np.linspace(-1, 1, 40)), -1).reshape(-1, 3)
    everything = pixels_of(points, seen_by(camera))
    valid = np.random.default_rng(0).random((camera.height, camera.width)) > 0.5
    expected = np.where((everything >= 0) & valid.ravel()[everything], everything, -1)
    np.testing.assert_array_equal(pixels_of(points, seen_by(camera, valid)), expected)
    assert np.max(expected) >= 0


def test_points_of_a_cell_lie_on_its_ground():
    cell = Cell(0, (-1.0, 0.5), (-0.5, 1.0), (0, 1))
    points = points_in(cell, GROUND_X, np.array([[0.0, 0.0], [0.5, 0.25]]))
    np.testing.assert_allclose(points, [[GROUND_X, -1.0, 0.5], [GROUND_X, -0.75, 0.625]])


def test_cells_are_where_two_photos_look():
    photos = [overhead(-20.0), overhead(-22.0), overhead(40.0)]
    cells = ground_cells(BOXES, GROUND_X, photos, 4)
    assert cells
    for cell in cells:
        assert len(cell.photos) >= 2
        middle = np.array([[GROUND_X, (cell.low[0] + cell.high[0]) / 2, (cell.low[1] + cell.high[1]) / 2]])
        sure = {place for place, photo in enumerate(photos) if pixels_of(middle, photo)[0] >= 0}
        assert sure <= set(cell.photos)
    assert {0, 1} == set().union(*(set(cell.photos) for cell in cells if cell.expert == 0))


def test_a_place_that_one_photo_alone_sees_is_no_cell():
    assert ground_cells(BOXES, GROUND_X, [overhead(10.0)], 4) == []
    assert ground_cells(BOXES, GROUND_X, [overhead(10.0), overhead(900.0)], 4) == []


def test_a_photo_that_is_all_border_sees_no_cell():
    one = overhead(10.0)
    blind = replace(one, valid=np.zeros_like(one.valid))
    assert ground_cells(BOXES, GROUND_X, [one, blind], 4) == []


def test_every_cell_lies_in_the_box_of_its_expert():
    cells = ground_cells(BOXES, GROUND_X, [overhead(10.0), overhead(12.0)], 3)
    assert {cell.expert for cell in cells} == {0, 1}
    for cell in cells:
        box = BOXES[cell.expert]
        assert (box.low[1:] <= cell.low).all()
        assert (cell.high <= box.high[1:]).all()
