"""Networks in halves, where the CPU has them: near the reference in single precision, the same bits for any threads."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.engine import engines, precision
from adaptive_nerf.engine.engines import CPU_HALF, TORCH
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import GEOMETRY, Network, Trunk
from adaptive_nerf.engine.table_gradients import TableGradients
from tests.support.engine_cases import ragged_samples
from tests.unit.engine.test_cpu_against_reference import SEEDS, SIZES, SLOTS, gradients, often, random, relative
from tests.unit.engine.test_cpu_engine import other_ways, training_step


@pytest.fixture(scope="session")
def half(cpu):
    return CPU_HALF  # on a CPU without halves it takes single precision


def near(half, inputs, run, n):
    """A unit whose sum is about zero may be on here and off there: slopes can be compared only over many samples."""
    found, slopes = gradients(half, inputs, run, torch.float32)
    expected, true_slopes = gradients(TORCH, inputs, run, torch.float32)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert relative(one.detach(), other.detach()) < 0.04
    for one, other in zip(slopes, true_slopes, strict=True):
        assert relative(one, other) < 0.2 if n > 95 else one.isfinite().all()


@often
@given(SIZES, SLOTS, SEEDS, st.integers(1, 3), st.sampled_from([3, 16, 32, 64]),
       st.sampled_from([(16, 2), (5, 1), (3, 8)]))
def test_a_trunk_in_halves_is_near_the_whole_one(half, n, n_slots, seed, depth, hidden, features):
    generator = torch.Generator().manual_seed(seed)
    shape = Trunk(Network(features[0] * features[1], hidden, depth, GEOMETRY))
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32)
    weights = torch.stack([shape.network.initial(generator) for _ in range(n_slots)])
    near(half, (weights, random(generator, n, *features)),
         lambda engine, weights, features: engine.trunk(weights, features, slots, shape), n)


@often
@given(st.lists(st.integers(0, 60), min_size=20, max_size=60), SLOTS, SEEDS, st.integers(0, 3))
def test_a_field_in_halves_is_near_the_whole_one(half, lengths, n_slots, seed, code):
    samples, generator = ragged_samples(lengths, seed, slots=n_slots), torch.Generator().manual_seed(seed)
    shapes = Trunk(Network(12, 24, 2, GEOMETRY)), Network(32 + code, 40, 1, 3)
    weights = [torch.stack([shape.initial(generator) for _ in range(count)])
               for shape, count in ((shapes[0].network, n_slots), (shapes[1], 1))]
    inputs = *weights, random(generator, sum(lengths), 6, 2), random(generator, len(lengths), 16 + code)
    near(half, inputs, lambda engine, *inputs: engine.field(*inputs, samples, shapes), sum(lengths))


@pytest.mark.parametrize("features", [1, 2, 3, 4, 8])
def test_features_in_halves_are_the_whole_ones_rounded(half, cpu, features):
    grid, generator = HashGrid(4, features, 10, 4, 300), torch.Generator().manual_seed(3)
    tables, local = random(generator, 2, grid.rows, features), torch.rand(999, 3, generator=generator)
    slots = (torch.arange(999) // 500).to(torch.int32)
    found, whole = (engine.encode(tables, local, slots, grid) for engine in (half, cpu))
    assert torch.equal(found, whole.bfloat16())
    totals = []
    for engine in (half, cpu):
        sink = TableGradients(grid, 2)
        given_back = random(torch.Generator().manual_seed(4), *found.shape).bfloat16()
        learning = tables.clone().requires_grad_()
        features = engine.encode(learning, local, slots, grid, sink)
        features.backward(given_back.to(features.dtype))
        engine.scatter(sink)
        totals.append(sink.total)
    assert torch.equal(*totals)


@pytest.mark.parametrize("work", [training_step, other_ways])
def test_no_bit_in_halves_depends_on_the_number_of_threads(half, threads, work):
    results = []
    for count in (1, 5):
        threads(count)
        results.append(work(half))
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)


def test_halves_serve_when_wished_for(cpu, monkeypatch):
    monkeypatch.delenv("ADAPTIVE_NERF_ENGINE", raising=False)
    monkeypatch.setattr(precision, "_wish", [False])
    assert engines.engine() is cpu
    precision.set_half(True)
    assert engines.engine() in (CPU_HALF, cpu)
    assert (engines.engine() is CPU_HALF) == bool(engines.library().has_halves())
    monkeypatch.setenv("ADAPTIVE_NERF_ENGINE", "torch")
    assert engines.engine() is TORCH
