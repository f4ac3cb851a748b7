"""What a new photo contradicts, and the cells that are opened for it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptive_nerf.models.occupancy import OccupancyGrids
from adaptive_nerf.pipelines import disagreement
from adaptive_nerf.pipelines.disagreement import REACH_M, first_looks, open_cells
from adaptive_nerf.pipelines.joint import ADAPTING_DECAY
from adaptive_nerf.rendering.types import RenderCancelled
from tests.support.fields import (
    CELL,
    FRAME,
    camera_over,
    ground_at,
    ground_regions,
    known_field,
    mixture_of,
    slanted_camera,
)
from tests.unit.pipelines.looks import loaded_photo, look_of

SIZE = (18, 24)
UNIT_M = FRAME.metres_per_unit
GROUND_M = np.full(SIZE, UNIT_M, np.float32)  # x = 0, seen from x = -1
SCALE, OFFSET = np.array([0.8, 1.1, 1.2]), np.array([0.06, -0.03, -0.05])


def textured(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.25, 0.7, (*SIZE, 3))


def empty_grids(bits: int = 0) -> OccupancyGrids:
    grids = OccupancyGrids.full(ground_regions(), CELL)
    grids.maxima.zero_()
    grids.occupancy.words.fill_(bits)
    return grids


def changed_at(*pixels: tuple[int, int], depth_m=GROUND_M, **more):
    """A photo that is as the model says, but for some pixels (row, column)."""
    model = textured()
    photo = model.copy()
    for row, column in pixels:
        photo[row, column] = 1 - np.round(photo[row, column])  # black or white, whichever is farther
    return look_of(model, photo, depth_m, **more)


def set_places(grids: OccupancyGrids) -> np.ndarray:
    """Centres of all cells whose bit is set, of all slots. [n, 3]"""
    found, occupancy = [], grids.occupancy
    for slot, (box, blocks) in enumerate(zip(grids.regions.boxes, occupancy.blocks, strict=True)):
        words = occupancy.words[occupancy.first_words[slot]:occupancy.first_words[slot + 1]].numpy().view(np.uint8)
        bits = np.unpackbits(words, bitorder="little").reshape(*blocks, 4, 4, 4).transpose(0, 3, 1, 4, 2, 5)
        cells = np.argwhere(bits.reshape(*(4 * count for count in blocks)))
        found.append(np.array(box[:3]) + (cells + 0.5) * occupancy.cell)
    return np.concatenate(found)


def test_exposure_finds_the_scale_and_the_offset_of_every_channel():
    model = textured()
    scale, offset = look_of(model, model * SCALE + OFFSET).exposure
    np.testing.assert_allclose(scale, SCALE, atol=0.02)
    np.testing.assert_allclose(offset, OFFSET, atol=0.01)


def test_exposure_is_not_fooled_by_a_part_that_has_changed():
    model = textured()
    photo = model * SCALE + OFFSET
    photo[:9, :12] = (1.0, 0.0, 0.0)  # a quarter
    scale, offset = look_of(model, photo).exposure
    np.testing.assert_allclose(scale * 0.5 + offset, SCALE * 0.5 + OFFSET, atol=0.02)
    np.testing.assert_allclose(scale, SCALE, atol=0.1)


def test_exposure_does_not_look_where_the_photo_has_no_picture():
    model = textured()
    photo, valid = model * SCALE + OFFSET, np.ones(SIZE, bool)
    photo[:, :6], valid[:, :6] = model[:, :6] * 0.9, False
    scale, _ = look_of(model, photo, valid=valid).exposure
    np.testing.assert_allclose(scale, SCALE, atol=0.02)


@pytest.mark.parametrize("model", [np.full((*SIZE, 3), 0.4), textured()[:4, :4]], ids=["flat", "few pixels"])
def test_exposure_of_what_tells_none_is_as_the_model_has_it(model):
    scale, offset = look_of(model, model * 0.9).exposure
    assert (scale.tolist(), offset.tolist()) == ([1.0] * 3, [0.0] * 3)


def test_a_photo_of_another_exposure_opens_nothing():
    model, grids = textured(), empty_grids()
    assert open_cells(grids, [look_of(model, model * SCALE + OFFSET, GROUND_M)], UNIT_M) == 0
    assert not grids.occupancy.words.any()
    assert not grids.maxima.any()


@pytest.mark.parametrize(("pixel", "surface"), [((4, 6), 0.0), ((13, 17), -0.1)])
def test_cells_are_opened_around_the_surface_that_a_contradicted_pixel_shows_and_nowhere_else(pixel, surface):
    grids, look = empty_grids(), changed_at(pixel, depth_m=GROUND_M * (1 + surface))
    assert open_cells(grids, [look], UNIT_M) == 1
    camera = look.frame.camera
    slope = (np.array([pixel[1], pixel[0]]) + 0.5 - [camera.cx, camera.cy]) / camera.fx
    direction = np.array([1.0, *(camera.c2w[1:, 0] * slope[0] - camera.c2w[1:, 1] * slope[1])])
    opened, reach = set_places(grids), REACH_M / UNIT_M
    on_ray = np.array([-1.0, 0, 0]) + (opened[:, :1] + 1) * direction
    assert np.abs(opened - on_ray).max() < 2 * CELL + 1e-6
    depth = opened[:, 0] - surface
    assert -reach - 2.5 * CELL < depth.min() < -reach + 2.5 * CELL
    assert min(reach, 0.25 - surface) - 2.5 * CELL < depth.max() < reach + 2.5 * CELL


def test_where_the_model_saw_nothing_the_far_side_of_its_boxes_is_opened():
    grids = empty_grids()
    assert open_cells(grids, [changed_at((9, 12), depth_m=np.full(SIZE, np.nan, np.float32))], UNIT_M) == 1
    opened = set_places(grids)[:, 0]
    assert opened.max() > 0.25 - 1.5 * CELL
    assert opened.min() > 0.25 - REACH_M / UNIT_M - 2.5 * CELL


def test_every_expert_that_has_a_say_at_a_place_gets_its_cell():
    middle = changed_at((9, 12), camera=camera_over(width=24, height=18))
    grids = empty_grids()
    open_cells(grids, [middle], UNIT_M)
    first = grids.occupancy.first_words
    assert all(grids.occupancy.words[first[slot]:first[slot + 1]].any() for slot in range(4))


def test_rays_that_miss_all_boxes_and_pixels_without_a_picture_open_nothing():
    valid = np.ones(SIZE, bool)
    valid[4, 6] = False
    assert open_cells(empty_grids(), [changed_at((4, 6), valid=valid)], UNIT_M) == 0
    sideways = replace(slanted_camera(), c2w=slanted_camera().c2w * [[1], [1], [1]] + [[0, 0, 0, -3.0]] * 3)
    assert open_cells(empty_grids(), [changed_at((0, 0), camera=sideways)], UNIT_M) == 0


def test_a_whole_flight_opens_what_its_photos_open_one_by_one_and_never_holds_the_places_of_two(monkeypatch):
    looks = [changed_at((4, 6), (5, 6)), changed_at((4, 6), (12, 20)), changed_at((9, 12), (13, 17), (2, 2))]
    asked, routed = [], disagreement.routed
    monkeypatch.setattr(disagreement, "routed", lambda places, regions: asked.append(len(places))
                        or routed(places, regions))
    together, alone = empty_grids(), [empty_grids() for _ in looks]
    assert open_cells(together, looks, UNIT_M) == 7
    at_once = max(asked)
    asked.clear()
    for grids, look in zip(alone, looks, strict=True):
        open_cells(grids, [look], UNIT_M)
    assert at_once == max(asked) < sum(asked)
    assert torch.equal(together.maxima, torch.stack([grids.maxima for grids in alone]).amax(0))
    one, other, last = (grids.occupancy.words for grids in alone)
    assert torch.equal(together.occupancy.words, one | other | last)
    assert together.occupancy.words.any()


def test_bits_of_the_base_are_never_lost_and_opened_cells_without_use_close_again():
    grids, generator = empty_grids(), torch.Generator().manual_seed(0)
    words = grids.occupancy.words
    words.copy_(torch.randint(-2**62, 2**62, words.shape, generator=generator))
    before = words.clone()
    open_cells(grids, [changed_at((4, 6), (5, 6), (12, 20))], UNIT_M)
    assert torch.equal(words & before, before)
    assert not torch.equal(words, before)
    for _ in range(20):
        grids.rebuild(ADAPTING_DECAY, before)
    assert torch.equal(words, before)


def test_an_opened_cell_that_a_ray_found_worth_stays_open():
    grids = empty_grids()
    floor = grids.occupancy.words.clone()
    open_cells(grids, [changed_at((4, 6))], UNIT_M)
    used = int(grids.maxima.nonzero()[0])
    for _ in range(20):
        grids.maxima[used] = 255
        grids.rebuild(ADAPTING_DECAY, floor)
    assert 0 < len(set_places(grids)) <= 7


def test_first_looks_are_small_pictures_of_the_model_and_can_be_given_up():
    camera = camera_over(width=48, height=36)
    mixture = mixture_of(known_field(ground_at(0.0)))
    photo = loaded_photo(camera, np.zeros((36, 48, 3)))
    looked = []
    (look,) = first_looks(mixture, [photo], looked=lambda *told: looked.append(told))
    assert looked == [(1, 1)]
    assert look.frame.rgb.shape == (9, 12, 3)
    assert look.photo is photo
    np.testing.assert_allclose(look.frame.depth_m, UNIT_M, rtol=0.02)
    with pytest.raises(RenderCancelled):
        first_looks(mixture, [photo], lambda: True)
