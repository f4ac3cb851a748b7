"""The torch reference against independent oracles: loops in float64, scipy, finite differences."""

import math

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.engine import draws, optimise, torch_reference
from adaptive_nerf.engine.directions import spherical_harmonics
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import Network, Trunk
from adaptive_nerf.engine.samples import next_stretch
from adaptive_nerf.engine.table_gradients import TableGradients
from tests.support.engine_cases import loop_composite, loop_encode, ragged_samples

SMALL = HashGrid(levels=3, features=2, log2_size=6, base=2, finest=9)


def test_levels_are_laid_out_as_tiny_cuda_nn_does():
    layout = HashGrid(16, 2, 19, 16, 2048).layout
    assert [level.resolution for level in layout[:3]] == [16, 23, 31]
    assert layout[0].size == 4096
    assert not layout[0].hashed
    assert layout[1].size == -(-(23**3) // 8) * 8
    assert layout[15].resolution == 2048
    assert layout[15].size == 1 << 19
    assert layout[15].hashed
    assert layout[2].offset == layout[0].size + layout[1].size


@pytest.mark.parametrize("grid", [SMALL, HashGrid(2, 4, 19, 4, 16), HashGrid(1, 1, 4, 5, 5)], ids=str)
def test_features_are_those_of_a_loop_over_levels_and_corners(grid):
    generator = torch.Generator().manual_seed(1)
    tables = torch.rand(2, grid.rows, grid.features, dtype=torch.float64, generator=generator) * 2 - 1
    local = torch.rand(20, 3, dtype=torch.float64, generator=generator)
    local[:3] = torch.tensor([[1.0, 1, 1], [0, 0, 0], [0.5, 1, 0]], dtype=torch.float64)
    slots = torch.arange(20) % 2
    found = torch_reference.encode(tables, local, slots, grid)
    np.testing.assert_allclose(found, loop_encode(tables.numpy(), local.numpy(), slots.numpy(), grid), atol=1e-12)


def test_places_outside_the_box_take_the_nearest_inside():
    tables = torch.rand(1, SMALL.rows, 2)
    wild = torch.tensor([[-3.0, 0.5, 0.5], [0.5, 7.0, math.inf], [math.nan, 0.5, -math.inf]])
    tame = torch.tensor([[0.0, 0.5, 0.5], [0.5, 1.0, 1.0], [0.0, 0.5, 0.0]])
    slots = torch.zeros(3, dtype=torch.int32)
    found, expected = (torch_reference.encode(tables, places, slots, SMALL) for places in (wild, tame))
    torch.testing.assert_close(found, expected)


def test_gradients_of_encode_pass_the_check_of_torch_and_of_second_order():
    generator = torch.Generator().manual_seed(1)
    tables = torch.rand(2, SMALL.rows, 2, dtype=torch.float64, generator=generator).requires_grad_()
    local = (torch.rand(4, 3, dtype=torch.float64, generator=generator) * 0.8 + 0.1).requires_grad_()
    slots = torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda *inputs: torch_reference.encode(*inputs, slots, SMALL), (tables, local))
    assert torch.autograd.gradgradcheck(lambda *inputs: torch_reference.encode(*inputs, slots, SMALL), (tables, local))


def test_gradients_of_the_field_and_of_compositing_pass_the_check_of_torch_and_of_second_order():
    samples, generator = ragged_samples([3, 0, 2], dtype=torch.float64), torch.Generator().manual_seed(1)
    shapes = Trunk(Network(6, 5, 2, 16)), Network(34, 4, 1, 3)
    inputs = [(torch.randn(size, dtype=torch.float64, generator=generator) * 0.3).requires_grad_()
              for size in ((2, shapes[0].network.n_weights), (1, shapes[1].n_weights), (5, 3, 2), (3, 18))]

    def values(*arguments):
        return torch_reference.field(*arguments, samples, shapes)

    def picture(values):
        found = torch_reference.composite(values, samples, stop=0.0)
        return found.image, found.depth, found.distortion

    some = torch.rand(5, 4, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(lambda *arguments: picture(values(*arguments)), inputs, atol=1e-4)
    assert torch.autograd.gradgradcheck(values, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(picture, some)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 3))
def test_pictures_are_those_of_a_loop_over_rays(lengths, channels):
    samples = ragged_samples(lengths, dtype=torch.float64)
    values = torch.rand(sum(lengths), 1 + channels, dtype=torch.float64) * 3
    found = torch_reference.composite(values, samples)
    for name, expected in loop_composite(values.numpy(), samples).items():
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-12, err_msg=name)


def test_spherical_harmonics_are_those_of_scipy():
    directions = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    x, y, z = directions.numpy().T
    found = spherical_harmonics(directions).numpy()
    for degree in range(4):
        for order in range(-degree, degree + 1):
            value = scipy.special.sph_harm_y(degree, abs(order), np.arccos(z), np.arctan2(y, x))
            part = value.real if order == 0 else math.sqrt(2) * (value.imag if order < 0 else value.real)
            np.testing.assert_allclose(found[:, degree * degree + degree + order], part, atol=1e-12)


def test_lazy_adam_moves_only_what_has_a_gradient_and_is_not_frozen():
    tables = torch.rand(2, SMALL.rows, 2).requires_grad_()
    before, moments, sink = tables.detach().clone(), optimise.Moments.of(tables), TableGradients(SMALL, 2)
    slots = torch.tensor([0, 0, 1])
    local = torch.rand(3, 3)
    torch_reference.encode(tables, local, slots, SMALL, sink).square().sum().backward()
    optimise.adam_lazy(tables, moments, sink, torch.tensor([0.1, 0.0]))
    assert tables.grad is None
    assert not sink.pending
    assert not sink.total.any()
    assert not sink.touched.any()
    moved = (tables.detach() != before).any(-1)
    assert 0 < moved[0].sum() <= 2 * 8 * SMALL.levels
    assert not moved[1].any()
    torch.testing.assert_close((tables.detach() - before)[0][moved[0]].abs().amax(), torch.tensor(0.1))


def test_dense_adam_is_that_of_torch():
    ours, theirs = torch.ones(7), torch.ones(7).requires_grad_()
    moments = optimise.Moments.of(ours)
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99), eps=1e-15)
    for number in range(1, 4):
        gradient = torch.randn(7)
        optimise.adam_dense(ours, moments, gradient, (number, 0.1))
        theirs.grad = gradient
        adam.step()
    torch.testing.assert_close(ours, theirs.detach())


def test_draws_depend_on_every_counter_and_are_even():
    index = torch.arange(100_000)
    keys = {draws.stream(0, "march", step) for step in range(100)} | {draws.stream(0, "rays"), draws.stream(1, "march")}
    assert len(keys) == 102
    values = draws.uniform(draws.stream(3, "march", 7), index)
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(float(values.mean()) - 0.5) < 0.01
    assert abs(float(values.var()) - 1 / 12) < 0.01


def test_the_controller_brings_the_mean_samples_to_the_cap():
    assert next_stretch(1.0, 64, 32) == 2.0
    assert next_stretch(8.0, 2, 32) == 1.0
    assert next_stretch(8.0, 320, 32) == 16.0
