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
from tests.unit.engine.test_cpu_against_reference import (
    SEEDS,
    SIZES,
    SLOTS,
    away_from_kinks,
    field_away_from_kinks,
    gradients,
    often,
    random,
    relative,
)
from tests.unit.engine.test_cpu_engine import other_ways, training_step


@pytest.fixture(scope="session")
def half(cpu):
    return CPU_HALF  # on a CPU without halves it takes single precision


MARGIN = 0.02  # of hidden sums: rounded to halves, they differ by less


def near(half, inputs, run, smooth):
    """Bounds are twice what was measured over thousands of cases; few rows may nearly cancel in the sum of a slope."""
    found, slopes = gradients(half, inputs, run, torch.float32, smooth)
    expected, true_slopes = gradients(TORCH, inputs, run, torch.float32, smooth)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert relative(one.detach(), other.detach()) < 0.04
    bound = 0.05 if smooth.sum() > 16 else 0.2 if len(smooth) > 95 else 0.6
    for one, other in zip(slopes, true_slopes, strict=True):
        assert relative(one, other) < bound


@often
@given(SIZES, SLOTS, SEEDS, st.integers(1, 3), st.sampled_from([3, 16, 32, 64]),
       st.sampled_from([(16, 2), (5, 1), (3, 8)]))
def test_a_trunk_in_halves_is_near_the_whole_one(half, n, n_slots, seed, depth, hidden, features):
    generator = torch.Generator().manual_seed(seed)
    shape = Trunk(Network(features[0] * features[1], hidden, depth, GEOMETRY))
    slots = torch.randint(0, n_slots, (n,), generator=generator, dtype=torch.int32)
    weights = torch.stack([shape.network.initial(generator) for _ in range(n_slots)])
    values = random(generator, n, *features)
    near(half, (weights, values), lambda engine, weights, features: engine.trunk(weights, features, slots, shape),
         away_from_kinks(weights, values.flatten(1), slots, shape.network, MARGIN))


@often
@given(st.lists(st.integers(0, 60), min_size=20, max_size=60), SLOTS, SEEDS, st.integers(0, 3))
def test_a_field_in_halves_is_near_the_whole_one(half, lengths, n_slots, seed, code):
    samples, generator = ragged_samples(lengths, seed, slots=n_slots), torch.Generator().manual_seed(seed)
    shapes = Trunk(Network(12, 24, 2, GEOMETRY)), Network(32 + code, 40, 1, 3)
    weights = [torch.stack([shape.initial(generator) for _ in range(count)])
               for shape, count in ((shapes[0].network, n_slots), (shapes[1], 1))]
    features, directions = random(generator, sum(lengths), 6, 2), random(generator, len(lengths), 16 + code)
    near(half, (*weights, features, directions), lambda engine, *inputs: engine.field(*inputs, samples, shapes),
         field_away_from_kinks(weights, features, directions, samples, shapes, MARGIN))


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
