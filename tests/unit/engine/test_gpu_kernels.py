"""The kernels for CUDA against the torch reference; Triton's interpreter runs them where there is no GPU."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adaptive_nerf.engine.engines import TORCH
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import GEOMETRY, Network, Trunk
from adaptive_nerf.engine.optimise import Adam, Moments
from adaptive_nerf.engine.table_gradients import TableGradients
from tests.support.engine_cases import ragged_samples
from tests.support.gpu_kernels import DEVICE, kernels

encoding, adam, compositing, networks, harmonics = map(
    kernels, ("encoding", "adam", "compositing", "networks", "directions"))
GRIDS = st.builds(HashGrid, levels=st.integers(1, 3), features=st.sampled_from([1, 2, 3, 4, 8]),
                  log2_size=st.integers(3, 9), base=st.integers(2, 9), finest=st.integers(9, 60))
SIZES, SLOTS, SEEDS = st.integers(0, 300), st.integers(1, 4), st.integers(0, 1 << 20)
# Interpreted kernels are too slow for a failing case to be made smaller.
often = settings(max_examples=8, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])


def random(generator, *size):
    return (torch.rand(size, generator=generator) * 2 - 1).to(DEVICE)


def places(generator, n, n_slots):
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32).sort().values
    return torch.rand(n, 3, generator=generator).to(DEVICE), slots.to(DEVICE)


@often
@given(SIZES, SLOTS, SEEDS, GRIDS)
def test_features_and_their_gradients_are_the_same(n, n_slots, seed, grid):
    generator = torch.Generator().manual_seed(seed)
    tables = random(generator, n_slots, grid.rows, grid.features).requires_grad_()
    local, slots = places(generator, n, n_slots)
    slope = random(generator, n, grid.levels, grid.features)
    found, expected = (encode(tables, local, slots, grid) for encode in (encoding.encode, TORCH.encode))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    slopes = [torch.autograd.grad(features, tables, slope)[0] for features in (found, expected)]
    torch.testing.assert_close(*slopes, atol=2e-4, rtol=1e-3)


def test_places_outside_and_places_that_are_none_are_taken_inside():
    grid, generator = HashGrid(2, 2, 8, 4, 16), torch.Generator().manual_seed(0)
    tables = random(generator, 1, grid.rows, 2)
    local = torch.tensor([[-1.0, 0.5, 2.0], [torch.nan, 0.2, 0.3], [torch.inf, -torch.inf, 1.0]], device=DEVICE)
    slots = torch.zeros(3, dtype=torch.int32, device=DEVICE)
    torch.testing.assert_close(encoding.encode(tables, local, slots, grid), TORCH.encode(tables, local, slots, grid))


@often
@given(SIZES, SLOTS, SEEDS, GRIDS)
def test_lazy_adam_takes_the_same_steps(n, n_slots, seed, grid):
    generator = torch.Generator().manual_seed(seed)
    start = random(generator, n_slots, grid.rows, grid.features)
    rates = torch.rand(n_slots, generator=generator) * 0.1 * (torch.rand(n_slots, generator=generator) > 0.3)
    steps = [(*places(generator, n, n_slots), random(generator, n, grid.levels, grid.features)) for _ in range(2)]
    results = []
    for encode, adam_lazy in ((encoding.encode, adam.adam_lazy), (TORCH.encode, TORCH.adam_lazy)):
        tables, sink = start.clone().requires_grad_(), TableGradients(grid, n_slots, DEVICE)
        moments = Moments.of(tables)
        for local, slots, slope in steps:
            (encode(tables, local, slots, grid, sink) * slope).sum().backward()
            adam_lazy(tables, moments, sink, rates, Adam(0.9, 0.99, 1.0))  # lets no rounding grow
        assert not sink.total.any()
        assert not sink.pending
        results.append((tables.detach(), moments.first, moments.second))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_steps_without_moments_are_the_same():
    grid, generator = HashGrid(3, 2, 8, 4, 16), torch.Generator().manual_seed(3)
    start, (local, slots) = random(generator, 2, grid.rows, 2), places(generator, 200, 2)
    rates, results = torch.tensor([[0.1, 0.2, 0.3], [0.0, 2.0, 0.1]]), []
    for encode, descend in ((encoding.encode, adam.descend), (TORCH.encode, TORCH.descend)):
        tables, sink = start.clone().requires_grad_(), TableGradients(grid, 2, DEVICE)
        encode(tables, local, slots, grid, sink).square().sum().backward()
        descend(tables, sink, rates, 0.2)
        assert not sink.total.any()
        results.append(tables.detach())
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)
    assert float((results[0] - start).abs().max()) <= 0.2 + 1e-6


@pytest.mark.parametrize("n", [1, 3000])
def test_adam_for_everything_takes_the_same_steps(n):
    generator = torch.Generator().manual_seed(n)
    start, gradient, results = random(generator, n), random(generator, n), []
    for adam_dense in (adam.adam_dense, TORCH.adam_dense):
        values, moments = start.clone(), Moments.of(start)
        for number in (1, 2):
            adam_dense(values, moments, gradient, (number, 0.01))
        results.append((values, moments.first, moments.second))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_added_up_gradients_say_which_lines_they_touched():
    grid, generator = HashGrid(2, 2, 8, 4, 16), torch.Generator().manual_seed(0)
    tables, sink = random(generator, 2, grid.rows, 2).requires_grad_(), TableGradients(grid, 2, DEVICE)
    local, slots = places(generator, 3, 2)
    encoding.encode(tables, local, slots, grid, sink).sum().backward()
    encoding.scatter(sink)
    lines = sink.total.view(len(sink.touched), -1)
    assert torch.equal(sink.touched.bool(), (lines != 0).any(1))
    assert sink.touched.any()


def on_device(samples):
    return replace(samples, **{each.name: getattr(samples, each.name).to(DEVICE) for each in fields(samples)})


@often
@given(st.lists(st.integers(0, 80), min_size=1, max_size=12), SEEDS, st.sampled_from([0, 1, 3, 15]),
       st.sampled_from([0.0, 1e-4, 0.3]), st.integers(0, 20), st.sampled_from([0.0, 0.7]), st.booleans())
def test_compositing_gives_the_same_pictures_and_gradients(lengths, seed, channels, stop, spare, full_from, all_three):
    samples = on_device(ragged_samples(lengths, seed, slots=3, spare=spare))
    generator = torch.Generator().manual_seed(seed)
    values = (random(generator, sum(lengths) + spare, 1 + channels).abs() * 3).requires_grad_()
    exact = replace(samples, t=samples.t.double(), delta=samples.delta.double())
    found = compositing.composite(values, samples, stop, full_from)
    expected = TORCH.composite(values.double(), exact, stop, full_from)
    names = ("image", "depth", "distortion") if all_three else ("image",)
    slopes, given_back = [], [random(generator, *getattr(found, name).shape) for name in names]
    for one in (found, expected):
        outputs = [getattr(one, name) for name in names]
        slopes += torch.autograd.grad(outputs, values, [slope.to(outputs[0]) for slope in given_back])
    for name in ("image", "depth", "distortion", "weights", "relative"):
        torch.testing.assert_close(getattr(found, name).double(), getattr(expected, name), atol=2e-5, rtol=1e-4)
    assert float((slopes[0] - slopes[1]).norm()) <= 1e-5 * float(slopes[1].norm()) + 1e-8
    assert (found.median != expected.median.float()).float().mean() < 0.05  # a half is reached one sample off


def test_no_rays_give_no_picture():
    samples = on_device(ragged_samples([], spare=3))
    found = compositing.composite(torch.ones(3, 4, device=DEVICE), samples)
    assert found.image.shape == (0, 4)
    assert not found.relative.any()


@pytest.mark.parametrize("is_sorted", [True, False])
def test_networks_give_the_same_places_and_gradients(is_sorted):
    generator, shape = torch.Generator().manual_seed(1), Trunk(Network(8, 16, 2, GEOMETRY))
    _, slots = places(generator, 200, 3)
    slots = slots if is_sorted else slots.flip(0)
    weights = torch.stack([shape.network.initial(generator) for _ in range(4)]).to(DEVICE).requires_grad_()
    features, slope = random(generator, 200, 4, 2).requires_grad_(), random(generator, 200, GEOMETRY)
    results = []
    for trunk in (networks.trunk, TORCH.trunk):
        found = trunk(weights, features, slots, shape)
        results.append((found.detach(), *torch.autograd.grad(found, (weights, features), slope)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_spherical_harmonics_are_the_same():
    directions = torch.nn.functional.normalize(random(torch.Generator().manual_seed(2), 300, 3), dim=1)
    torch.testing.assert_close(harmonics.spherical_harmonics(directions), TORCH.spherical_harmonics(directions))
