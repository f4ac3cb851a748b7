"""The cpu engine against the torch reference in float64, on random shapes and every option."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptive_nerf.engine.cpu import marching
from adaptive_nerf.engine.engines import TORCH
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import GEOMETRY, Network, Trunk
from adaptive_nerf.engine.optimise import Adam, Moments
from adaptive_nerf.engine.samples import Regions, Stepping
from adaptive_nerf.engine.table_gradients import TableGradients
from tests.support.engine_cases import ragged_samples, random_occupancy, random_rays

SIZES = st.one_of(st.sampled_from([0, 1, 15, 16, 17, 96, 97, 5000]), st.integers(0, 5000))
SLOTS = st.integers(1, 9)
SEEDS = st.integers(0, 1 << 20)


def grids(finest):
    return st.builds(HashGrid, levels=st.integers(1, 5), features=st.sampled_from([1, 2, 3, 4, 8]),
                     log2_size=st.integers(3, 11), base=st.integers(2, 20), finest=finest)


GRIDS = grids(finest=st.integers(20, 3000))
COARSE = grids(finest=st.integers(20, 60))  # where both engines round places to much less than a cell
often = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def random(generator, *size):
    return torch.rand(size, generator=generator) * 2 - 1


def relative(found, expected):
    return float((found.double() - expected.double()).norm() / max(float(expected.double().norm()), 1e-20))


def gradients(engine, inputs, run, dtype, smooth=None):
    """What `run` gives, and the gradients of its inputs for a fixed gradient of the (smooth rows') outputs."""
    inputs = [value.to(dtype, copy=True).requires_grad_() for value in inputs]
    outputs = run(engine, *inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(5)
    given_back = [random(generator, *output.shape).to(dtype) for output in outputs]
    if smooth is not None:
        given_back = [value * smooth.view(-1, *[1] * (value.dim() - 1)) for value in given_back]
    return outputs, torch.autograd.grad(outputs, inputs, given_back, allow_unused=True)


def agree(engines, inputs, run, smooth=None):
    """Each engine in float32 with the reference in float64, to the gates of the engine: 1e-3 forward, 1e-5 backward.

    Measured are at most 5e-7 (encode, networks, composite) and 2e-6 (blend).
    """
    expected, true_slopes = gradients(TORCH, inputs, run, torch.float64, smooth)
    for engine in engines:
        found, slopes = gradients(engine, inputs, run, torch.float32, smooth)
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            assert one.numel() == 0 or float((one.double() - other).detach().abs().max()) < 1e-3
        for one, other in zip(slopes, true_slopes, strict=True):
            assert relative(one, other) < 1e-5


def away_from_kinks(weights, inputs, slots, shape, margin=1e-5):
    """Rows whose hidden sums are not so near to 0 that rounding may take the other side of the ReLU. -> [n] bool"""
    values, rows = inputs.double(), torch.zeros(len(inputs), dtype=torch.long) if len(weights) == 1 else slots.long()
    smooth = torch.ones(len(inputs), dtype=torch.bool)
    by_slot = [[matrix.double() for matrix in shape.matrices(each)] for each in weights]
    for layer in range(shape.depth):
        sums = values.new_zeros(len(inputs), shape.hidden)
        for slot, matrices in enumerate(by_slot):
            sums[rows == slot] = values[rows == slot] @ matrices[layer].T
        smooth &= (sums.abs() > margin).all(1)
        values = sums.relu()
    return smooth


def field_away_from_kinks(weights, features, directions, samples, shapes, margin=1e-5):
    """The same, of trunk and colour head."""
    places = TORCH.trunk(weights[0].double(), features.double(), samples.slots, shapes[0])
    seen = torch.cat([torch.ones_like(places[:, :1]), places[:, 1:], directions[samples.rays.long()]], 1)
    return (away_from_kinks(weights[0], features.flatten(1), samples.slots, shapes[0].network, margin)
            & away_from_kinks(weights[1], seen, samples.slots, shapes[1], margin))


def away_from_borders(local, grid):
    """Places that are not so near to the border of a cell that float32 may take its neighbour. -> [n] bool"""
    scales = torch.tensor([level.scale for level in grid.layout], dtype=torch.float64)[:, None]
    return (((local[:, None].double() * scales + 0.5) % 1 - 0.5).abs() < 0.4995).flatten(1).all(1)


def rays_of(smooth, samples):
    """Rays all of whose samples are smooth. -> [n_rays] bool"""
    rough = torch.zeros(len(samples.offsets) - 1, dtype=torch.int64).index_add(0, samples.rays.long(), (~smooth).long())
    return rough == 0


@often
@given(SIZES, SLOTS, SEEDS, GRIDS, st.booleans())
def test_encode_gives_the_same_features_and_gradients(cpu, n, n_slots, seed, grid, is_sorted):
    generator = torch.Generator().manual_seed(seed)
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32)
    slots = slots.sort().values if is_sorted else slots
    inputs = random(generator, n_slots, grid.rows, grid.features), torch.rand(n, 3, generator=generator)
    agree([cpu], inputs, lambda engine, tables, local: engine.encode(tables, local, slots, grid),
          away_from_borders(inputs[1], grid))  # torch in float32 loses digits of the place in a cell: 3e-4


@often
@given(SIZES, SLOTS, SEEDS, st.integers(1, 3), st.sampled_from([3, 16, 32, 64]),
       st.sampled_from([(16, 2), (8, 4), (5, 1), (3, 8)]))
def test_the_trunk_gives_the_same_places_and_gradients(cpu, n, n_slots, seed, depth, hidden, features):
    generator = torch.Generator().manual_seed(seed)
    shape = Trunk(Network(features[0] * features[1], hidden, depth, GEOMETRY))
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32)
    weights = torch.stack([shape.network.initial(generator) for _ in range(n_slots)])
    values = random(generator, n, *features)
    agree((cpu, TORCH), (weights, values),
          lambda engine, weights, features: engine.trunk(weights, features, slots, shape),
          away_from_kinks(weights, values.flatten(1), slots, shape.network))


@often
@given(SIZES, st.integers(0, 9), SEEDS, st.integers(1, 3), st.booleans())
def test_the_colour_head_gives_the_same_colours_and_gradients(cpu, n, code, seed, depth, own):
    generator = torch.Generator().manual_seed(seed)
    shape, n_slots = Network(GEOMETRY + 16 + code, 32, depth, 3), 3 if own else 1
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32)
    weights = torch.stack([shape.initial(generator) for _ in range(n_slots)])
    inputs = random(generator, n, GEOMETRY), random(generator, n, 16 + code)
    agree((cpu, TORCH), (weights, *inputs), lambda engine, *inputs: engine.colour(*inputs, slots, shape),
          away_from_kinks(weights, torch.cat(inputs, 1), slots, shape))


@often
@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), SLOTS, SEEDS, st.booleans(), st.integers(0, 3))
def test_the_field_gives_the_same_values_and_gradients(cpu, lengths, n_slots, seed, own, code):
    samples, generator = ragged_samples(lengths, seed, slots=n_slots), torch.Generator().manual_seed(seed)
    shapes = Trunk(Network(12, 24, 2, GEOMETRY)), Network(32 + code, 40, 1, 3)
    weights = [torch.stack([shape.initial(generator) for _ in range(count)])
               for shape, count in ((shapes[0].network, n_slots), (shapes[1], n_slots if own else 1))]
    features, directions = random(generator, sum(lengths), 6, 2), random(generator, len(lengths), 16 + code)
    agree((cpu, TORCH), (*weights, features, directions),
          lambda engine, *inputs: engine.field(*inputs, samples, shapes),
          field_away_from_kinks(weights, features, directions, samples, shapes))


@often
@given(st.lists(st.integers(0, 90), min_size=1, max_size=80), SEEDS, st.sampled_from([0, 1, 3, 15]),
       st.sampled_from([0.0, 1e-4, 0.3]), st.integers(0, 20), st.sampled_from([0.0, 0.7]))
def test_compositing_gives_the_same_pictures_and_gradients(cpu, lengths, seed, channels, stop, spare, full_from):
    samples = ragged_samples(lengths, seed, slots=3, spare=spare)
    values = torch.rand(sum(lengths) + spare, 1 + channels, generator=torch.Generator().manual_seed(seed)) * 3

    def run(engine, values):
        wide = replace(samples, t=samples.t.to(values), delta=samples.delta.to(values))
        found = engine.composite(values, wide, stop, full_from)
        return found.image, found.depth, found.distortion

    agree((cpu, TORCH), (values,), run)
    found, expected = (engine.composite(values, samples, stop) for engine in (cpu, TORCH))
    for name in ("weights", "relative"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=2e-5, rtol=1e-3)
    assert (found.median != expected.median).float().mean() < 0.05  # a half is reached one sample earlier or later


@pytest.mark.parametrize("held", ["trunk", "head"])
def test_weights_that_are_held_take_nothing_from_the_others(cpu, held):
    """Their gradient is not worked out; all else is the same to the last bit."""
    samples, generator = ragged_samples([30, 0, 70], 1, slots=2), torch.Generator().manual_seed(1)
    shapes = Trunk(Network(8, 24, 1, GEOMETRY)), Network(32, 24, 2, 3)
    weights = {"trunk": torch.stack([shapes[0].network.initial(generator) for _ in range(2)]),
               "head": shapes[1].initial(generator)[None]}
    features, directions = random(generator, 100, 2, 4), random(generator, 3, 16)
    results = []
    for frozen in ((), (held,)):
        own = {name: value.clone().requires_grad_(name not in frozen) for name, value in weights.items()}
        places = features.clone().requires_grad_()
        cpu.field(own["trunk"], own["head"], places, directions, samples, shapes).square().sum().backward()
        results.append({"places": places.grad} | {name: value.grad for name, value in own.items()})
    assert results[1].pop(held) is None
    assert all(torch.equal(value, results[0][name]) for name, value in results[1].items())


@often
@given(st.lists(st.integers(0, 90), min_size=1, max_size=80), SEEDS, SLOTS, st.floats(0.001, 0.5))
def test_rays_meet_the_same_surfaces(cpu, lengths, seed, n_slots, window):
    samples = ragged_samples(lengths, seed, slots=n_slots)
    values = torch.rand(sum(lengths), 1, generator=torch.Generator().manual_seed(seed)) * 20
    composited = TORCH.composite(values, samples)
    found, expected = (engine.surfaces(samples, composited, window, n_slots) for engine in (cpu, TORCH))
    torch.testing.assert_close(found.distance, expected.distance, atol=1e-5, rtol=1e-4, equal_nan=True)
    assert (found.slot != expected.slot).float().mean() < 0.05  # two that weigh the same


@often
@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), SLOTS, SEEDS, GRIDS, st.booleans())
def test_blending_at_once_gives_the_same_pictures_and_gradients(cpu, lengths, n_slots, seed, grid, with_sink):
    samples, generator = ragged_samples(lengths, seed, slots=n_slots), torch.Generator().manual_seed(seed)
    shape = Trunk(Network(grid.outputs, 24, 1, GEOMETRY))
    weights = torch.stack([shape.network.initial(generator) for _ in range(n_slots)])
    tables = random(generator, n_slots, grid.rows, grid.features)
    sink = TableGradients(grid, n_slots) if with_sink else None

    def run(engine, tables, weights):
        wide = replace(samples, local=samples.local.to(tables), t=samples.t.to(tables), delta=samples.delta.to(tables))
        found = engine.blend(tables, weights, wide, (grid, shape), sink if engine is cpu else None, full_from=0.4)
        return found.image, found.depth, found.distortion

    features = TORCH.encode(tables.double(), samples.local, samples.slots, grid)
    smooth = rays_of(away_from_kinks(weights, features.flatten(1), samples.slots, shape.network), samples)
    if sink is None:
        agree([cpu], (tables, weights), run, smooth)
    else:
        found = gradients(cpu, (tables, weights), run, torch.float32, smooth)[1][1]
        for_tables, expected = gradients(TORCH, (tables, weights), run, torch.float64, smooth)[1]
        assert relative(found, expected) < 1e-5
        cpu.scatter(sink)
        assert relative(sink.total, for_tables) < 1e-5


@often
@given(st.integers(0, 200), SEEDS, st.integers(1, 9), st.sampled_from([1.0, 1.2, 2.0]), st.booleans(), st.booleans(),
       st.integers(1, 12), st.booleans())
def test_marching_gives_the_same_samples(cpu, n_rays, seed, n_slots, margin, inverse, stratified, most, ahead):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(n_slots, 3, generator=generator) * torch.tensor([1.4, 0.4, 0.4])
    high = low + torch.rand(n_slots, 3, generator=generator) * 0.5 + 0.1
    regions = Regions.of(torch.cat([low, high], 1).tolist())
    regions = replace(regions, margin=margin, axes=(0, 2) if inverse else (0, 1, 2),
                      routing="inverse" if inverse else "smooth")
    occupancy, rays = random_occupancy(regions, 1 / 60, seed, airy=ahead), random_rays(n_rays, seed)
    stepping = Stepping(0.037, seed if stratified else None, most)
    first = torch.randint(-1, 20, (n_rays,), generator=generator, dtype=torch.int32) if seed % 2 else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marching, "MANY_RAYS", 0 if ahead else 1 << 30)
        found, expected = (engine.march(rays, regions, occupancy, stepping, 1500, first) for engine in (cpu, TORCH))
    for name in ("slots", "rays", "order", "offsets", "dropped", "following", "count"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    for name in ("local", "t", "delta"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_marching_agrees_on_rays_that_are_flat_or_no_rays_at_all(cpu, seed):
    regions = Regions.of([[0, 0, 0, 1, 1, 1], [0.7, 0.1, 0, 2, 1, 0.9]])
    rays, generator = random_rays(300, seed), torch.Generator().manual_seed(seed)
    flat = torch.where(torch.rand(300, 3, generator=generator) < 0.3, 0.0, rays.directions)
    flat[::97], rays.origins[5] = torch.nan, torch.inf
    rays = replace(rays, directions=torch.nn.functional.normalize(flat, dim=1))
    occupancy = random_occupancy(regions, 1 / 60, seed, airy=True)
    found, expected = (engine.march(rays, regions, occupancy, Stepping(0.03), 3000) for engine in (cpu, TORCH))
    for name in ("slots", "rays", "order", "offsets", "dropped", "following", "count"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


@often
@given(SIZES, SLOTS, SEEDS, COARSE)
def test_lazy_adam_takes_the_same_steps(cpu, n, n_slots, seed, grid):
    generator = torch.Generator().manual_seed(seed)
    start = random(generator, n_slots, grid.rows, grid.features)
    rates = torch.rand(n_slots, generator=generator) * 0.1 * (torch.rand(n_slots, generator=generator) > 0.3)
    results = []
    for engine in (cpu, TORCH):
        tables, sink = start.clone().requires_grad_(), TableGradients(grid, n_slots)
        moments, draws = Moments.of(tables), torch.Generator().manual_seed(seed)
        for _ in range(2):
            slots = torch.randint(0, n_slots, (n,), generator=draws, dtype=torch.int32).sort().values
            local = torch.rand(n, 3, generator=draws)
            engine.encode(tables, local, slots, grid, sink).square().sum().backward()
            engine.adam_lazy(tables, moments, sink, rates, Adam(0.9, 0.99, 1.0))  # lets no rounding grow
        assert not sink.total.any()
        assert not sink.touched.any()
        results.append((tables.detach(), moments.first, moments.second))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@often
@given(SIZES, SLOTS, SEEDS, COARSE, st.booleans())
def test_steps_without_moments_are_the_same(cpu, n, n_slots, seed, grid, added_up):
    generator = torch.Generator().manual_seed(seed)
    start, local = random(generator, n_slots, grid.rows, grid.features), torch.rand(n, 3, generator=generator)
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32).sort().values
    rates = torch.rand(n_slots, grid.levels, generator=generator)
    rates *= torch.rand(n_slots, grid.levels, generator=generator) > 0.3
    results = []
    for engine in (cpu, TORCH):
        tables, sink = start.clone().requires_grad_(), TableGradients(grid, n_slots)
        engine.encode(tables, local, slots, grid, sink).square().sum().backward()
        if added_up:
            engine.scatter(sink)
        engine.descend(tables, sink, rates, 0.2)
        assert not sink.total.any()
        assert not sink.touched.any()
        results.append(tables.detach())
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-3)
    assert float((results[0] - start).abs().max()) <= 0.2 + 1e-6


@often
@given(st.integers(0, 500), SLOTS, SEEDS, COARSE)
def test_adam_for_whole_tables_takes_the_same_steps(cpu, n, n_slots, seed, grid):
    generator = torch.Generator().manual_seed(seed)
    start, local = random(generator, n_slots, grid.rows, grid.features), torch.rand(n, 3, generator=generator)
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32)
    results = []
    for engine in (cpu, TORCH):
        tables, sink = start.clone().requires_grad_(), TableGradients(grid, n_slots)
        moments = Moments.of(tables)
        for number in (1, 2):
            engine.encode(tables, local, slots, grid, sink).square().sum().backward()
            engine.adam_tables(tables.detach(), moments, sink, (number, 0.01), Adam(0.9, 0.99, 1.0))
        assert not sink.total.any()
        results.append((tables.detach(), moments.first, moments.second))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


LARGE = [HashGrid(levels, features, log2_size, 16, 2048) for levels, features in ((16, 2), (8, 4))
         for log2_size in (16, 17, 18, 19)]  # their levels are past the near caches, and so are fetched ahead


@pytest.mark.parametrize("grid", LARGE, ids=lambda grid: f"{grid.levels}x{grid.features}, 2^{grid.log2_size}")
def test_large_tables_give_the_same_features_gradients_and_steps(cpu, grid):
    generator, n = torch.Generator().manual_seed(grid.log2_size), 333
    slots, given_back = torch.zeros(n, dtype=torch.int32), random(generator, n, grid.levels, grid.features)
    tables, local = random(generator, 1, grid.rows, grid.features), torch.rand(n, 3, generator=generator)
    agree([cpu], (local,), lambda engine, local: engine.encode(tables.to(local), local, slots, grid),
          away_from_borders(local, grid))
    sinks = [TableGradients(grid, 1) for _ in range(3)]
    for sink in sinks:
        sink.add(local, slots, given_back)
    TORCH.scatter(sinks[0])
    cpu.scatter(sinks[1])
    torch.testing.assert_close(sinks[1].total, sinks[0].total, atol=1e-3, rtol=1e-3)
    moments = [Moments.of(tables) for _ in range(2)]
    stepped = [tables.clone() for _ in range(2)]
    for engine, sink, *state in zip((TORCH, cpu), (sinks[0], sinks[2]), stepped, moments, strict=True):
        engine.adam_tables(*state, sink, (1, 0.01), Adam(0.9, 0.99, 1.0))
    torch.testing.assert_close(moments[1].first, moments[0].first, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(stepped[1], stepped[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 100_000])
def test_dense_adam_takes_the_same_steps(cpu, n):
    start, gradient = torch.rand(n), torch.randn(n)
    results = []
    for engine in (cpu, TORCH):
        values, moments = start.clone(), Moments.of(start)
        for number in (1, 2):
            engine.adam_dense(values, moments, gradient, (number, 0.01))
        results.append(values)
    torch.testing.assert_close(*results)


def test_spherical_harmonics_are_the_same(cpu):
    directions = torch.nn.functional.normalize(torch.randn(77, 3), dim=1)
    torch.testing.assert_close(cpu.spherical_harmonics(directions), TORCH.spherical_harmonics(directions))
