from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from adaptive_nerf.engine.reference_occupancy import grown
from adaptive_nerf.engine.samples import Rays
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.models.field import radiance
from adaptive_nerf.models.occupancy import START, THRESHOLD, WORD, OccupancyGrids
from adaptive_nerf.rendering.types import Output
from tests.support.fields import (
    CELL,
    ground_at,
    ground_regions,
    known_field,
    mixture_of,
    random_field,
    slanted_camera,
)
from tests.unit.models.test_field import rays_down

DECAY = 0.9


def words_of(cells: np.ndarray) -> torch.Tensor:
    """[4 bx, 4 by, 4 bz] bool -> [bx, by, bz] words, bit 16 x + 4 y + z of each."""
    blocks = [side // 4 for side in cells.shape]
    bits = cells.reshape(blocks[0], 4, blocks[1], 4, blocks[2], 4).transpose(0, 2, 4, 1, 3, 5).reshape(*blocks, 64)
    return torch.from_numpy(np.packbits(bits, axis=-1, bitorder="little").view(np.int64)[..., 0].copy())


def cells_of(words: torch.Tensor) -> np.ndarray:
    bits = np.unpackbits(words.numpy()[..., None].view(np.uint8), axis=-1, bitorder="little")
    blocks = words.shape
    cells = bits.reshape(*blocks, 4, 4, 4).transpose(0, 3, 1, 4, 2, 5)
    return cells.reshape([4 * side for side in blocks]).astype(bool)


@given(st.tuples(*[st.integers(1, 3)] * 3).flatmap(
    lambda blocks: arrays.arrays(bool, [4 * side for side in blocks], elements=st.booleans(), fill=st.just(False))))
def test_growing_is_a_dilation_by_the_six_neighbours(cells):
    np.testing.assert_array_equal(cells_of(grown(words_of(cells))), ndimage.binary_dilation(cells))


def test_a_single_cell_grows_to_seven():
    cells = np.zeros((8, 4, 8), bool)
    cells[4, 3, 3] = True
    assert cells_of(grown(words_of(cells))).sum() == 6  # one neighbour lies outside


@pytest.fixture
def grids() -> OccupancyGrids:
    return OccupancyGrids.full(ground_regions(), CELL)


def observed(grids, n=400, seed=0):
    """Samples of a field with random relative weights; and which of the cells they fall into, by a plain loop."""
    field = replace(random_field(grids.regions), grids=grids)
    generator = torch.Generator().manual_seed(seed)
    samples = field.march(rays_down(torch.rand(20, 2, generator=generator) * 1.8 - 0.9), n)
    relative = torch.rand(len(samples.t), generator=generator) * 1.2
    grids.observe(samples, relative)
    loop: dict[tuple, float] = {}
    for slot, local, value in zip(samples.slots.tolist(), samples.local.double().numpy(), relative.tolist(),
                                  strict=True):
        cell = np.floor(local * grids.regions.sides[slot] / CELL + 1e-6).astype(int)
        key = (slot, *cell)
        loop[key] = max(loop.get(key, 0.0), min(value, 1.0))
    return loop


def place_of(grids, key) -> int:
    slot, *cell = key
    blocks = grids.occupancy.blocks[slot]
    block, (x, y, z) = [side // 4 for side in cell], [side % 4 for side in cell]
    word = grids.occupancy.first_words[slot] + (block[0] * blocks[1] + block[1]) * blocks[2] + block[2]
    return word * WORD + 16 * x + 4 * y + z


def test_a_cell_keeps_the_largest_of_what_was_seen_in_it(grids):
    loop = observed(grids)
    expected = np.full(len(grids.maxima), round(START * 255))
    for key, value in loop.items():
        if value > THRESHOLD / 2:
            place = place_of(grids, key)
            expected[place] = max(expected[place], round(value * 255))
    assert len(loop) > 100
    np.testing.assert_array_equal(grids.maxima, expected)


def test_rebuilding_marks_what_is_above_the_threshold_and_its_neighbours(grids):
    grids.maxima.zero_()
    loop = observed(grids)
    before = grids.maxima.clone()
    grids.rebuild(DECAY)
    np.testing.assert_array_equal(grids.maxima, np.floor(before.numpy() * np.float32(DECAY)))
    for slot, blocks in enumerate(grids.occupancy.blocks):
        seen = np.zeros([4 * side for side in blocks], bool)
        for (of, *cell), value in loop.items():
            if of == slot and round(value * 255) > int(THRESHOLD * 255):
                seen[tuple(cell)] = True
        words = grids.occupancy.words[slice(*grids.occupancy.first_words[slot:slot + 2])].view(blocks)
        np.testing.assert_array_equal(cells_of(words), ndimage.binary_dilation(seen))


def test_cells_that_nothing_is_seen_in_fade_and_those_in_use_stay(grids):
    field = replace(random_field(grids.regions), grids=grids)
    samples = field.march(rays_down([[0.5, 0.5]]), 1000)
    assert grids.share == 1
    for _ in range(20):
        grids.observe(samples, torch.ones(len(samples.t)))
        grids.rebuild(DECAY)
    assert 0 < grids.share < 0.05
    assert len(field.march(rays_down([[0.5, 0.5]]), 1000).t) == len(samples.t)
    assert len(field.march(rays_down([[-0.5, -0.5]]), 1000).t) == 0


def test_bits_of_the_floor_stay_whatever_is_seen(grids):
    floor = torch.zeros_like(grids.occupancy.words)
    floor[7] = 1 << 13
    grids.maxima.zero_()
    grids.rebuild(DECAY, floor)
    assert torch.equal(grids.occupancy.words, floor)


def test_the_other_experts_are_left_alone_where_some_are_named(grids):
    grids.maxima.zero_()
    words = grids.occupancy.words.clone()
    grids.rebuild(DECAY, slots=[1])
    first, last = grids.occupancy.first_words[1:3]
    assert (grids.occupancy.words[first:last] == 0).all()
    grids.occupancy.words[first:last] = -1
    assert torch.equal(grids.occupancy.words, words)


def test_saved_bits_come_back_as_maxima_that_give_them_again(grids):
    cells = np.zeros([4 * side for side in grids.occupancy.blocks[0]], bool)
    cells[5, 6, 7] = True
    words = torch.zeros_like(grids.occupancy.words)
    words[:grids.occupancy.first_words[1]] = words_of(cells).flatten()
    restored = OccupancyGrids.of_bits(grids.regions, replace(grids.occupancy, words=words))
    assert torch.equal(restored.occupancy.words, words)
    assert restored.maxima.nonzero()[:, 0].tolist() == [place_of(grids, (0, 5, 6, 7))]
    restored.rebuild(1.0)
    np.testing.assert_array_equal(cells_of(restored.occupancy.words[:len(words_of(cells).flatten())].view(
        grids.occupancy.blocks[0])), ndimage.binary_dilation(cells))


def test_a_copy_and_a_selection_leave_the_original_alone(grids):
    copy, one = grids.copied(), grids.only([2])
    copy.occupancy.words.zero_()
    copy.maxima.zero_()
    assert grids.share == 1
    assert grids.maxima.min() > 0
    assert 0 < one.share < 0.5


def rays_of(camera) -> Rays:
    rays = camera_rays(camera)
    return Rays(*(torch.tensor(np.array(part), dtype=torch.float32) for part in (rays.origins, rays.directions)))


def learn(field, views) -> None:
    """What looking along the rays of views does to the occupancy."""
    for step, rays in enumerate(views):
        samples = field.march(rays, 1 << 19, key=step)
        seen = radiance(field, rays, samples, field.encode(samples))
        field.grids.observe(samples, seen.composited.relative)
        field.grids.rebuild(DECAY)


def test_the_picture_is_the_same_with_and_without_occupancy():
    def hills(places):
        return torch.where(places[:, 0] > 0.08 * torch.sin(5 * places[:, 1]) * torch.cos(4 * places[:, 2]), 120.0, 0.0)
    field = known_field(hills, step=0.01, look=lambda places: torch.sin(3 * places).repeat(1, 5))
    everything = mixture_of(field).render(slanted_camera(48, 36), frozenset({Output.RGB})).rgb
    learn(field, [rays_of(slanted_camera(40, 30, around=2.0 + 0.1 * (step % 9))) for step in range(20)])
    sparse = mixture_of(field).render(slanted_camera(48, 36), frozenset({Output.RGB})).rgb
    assert field.grids.share < 0.5
    assert -10 * np.log10(np.square(everything - sparse).mean()) > 40


def test_occupancy_follows_a_density_that_is_known():
    """Of a ground at X = 0.1, the cells at and just below it are what remains."""
    field = known_field(ground_at(0.1), regions=ground_regions(margin=1.0))
    line = torch.linspace(-0.99, 0.99, 60)
    learn(field, [rays_down(torch.cartesian_prod(line, line))] * 20)
    samples = field.march(rays_down([[0.3, 0.4]]), 1000)
    assert 0.0 < float(samples.t.min()) - 1.0 < 0.1 + CELL
    assert float(samples.t.max()) - 1.0 < 0.1 + 3 * CELL
