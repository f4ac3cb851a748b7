"""Which cells have something: the cpu engine against the reference, to the last bit."""

import math
from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.engine.engines import TORCH
from adaptive_nerf.engine.samples import Occupancy, Regions
from tests.support.engine_cases import ragged_samples
from tests.unit.engine.test_cpu_against_reference import SEEDS, SLOTS, often


@often
@given(st.lists(st.integers(0, 900), min_size=1, max_size=40), SEEDS, SLOTS, st.floats(0, 1))
def test_the_same_cells_are_told_of(cpu, lengths, seed, n_slots, least):
    """Also of places beyond their box, and of weights that are no numbers; who raised a cell last does not show."""
    samples, generator = ragged_samples(lengths, seed, slots=n_slots), torch.Generator().manual_seed(seed)
    samples = replace(samples, local=torch.rand(3, len(samples.t), generator=generator).mul(1.4).sub(0.2).t())
    relative = torch.rand(len(samples.t), generator=generator) * 1.1
    relative[::7] = torch.nan
    regions = Regions.of([[slot, 0, 0, slot + 1.3, 1, 0.4] for slot in range(n_slots)])
    occupancy = Occupancy.full(regions, 0.09)
    start = torch.randint(0, 200, (64 * occupancy.first_words[-1],), generator=generator, dtype=torch.uint8)
    found, expected = start.clone(), start.clone()
    cpu.observe(found, samples, relative, regions, occupancy, least)
    TORCH.observe(expected, samples, relative, regions, occupancy, least)
    assert torch.equal(found, expected)


@often
@given(st.lists(st.tuples(*[st.integers(1, 3)] * 3), min_size=1, max_size=4), SEEDS, st.floats(0, 1), st.booleans(),
       st.sampled_from([0.02, 0.5, 1.0]), st.data())
def test_the_same_cells_are_marched_through(cpu, blocks, seed, decay, with_floor, filled, data):
    """Of the slots that are named; full ones, and such as have hardly anything."""
    generator = torch.Generator().manual_seed(seed)
    regions = Regions.of([[0, 0, 0, *(0.2 * side for side in size)] for size in blocks])
    occupancy = Occupancy(torch.randint(-2**62, 2**62, (sum(map(math.prod, blocks)),), generator=generator),
                          tuple(blocks), 0.05)
    maxima = torch.randint(0, 256, (64 * len(occupancy.words),), generator=generator, dtype=torch.uint8)
    maxima *= torch.rand(len(maxima), generator=generator) < filled
    floor = torch.randint(-2**62, 2**62, occupancy.words.shape, generator=generator) if with_floor else None
    slots = data.draw(st.lists(st.integers(0, len(blocks) - 1), unique=True))
    results = []
    for engine in (cpu, TORCH):
        own, words = maxima.clone(), replace(occupancy, words=occupancy.words.clone())
        engine.rebuild(own, regions, words, (0.3, decay), floor, slots)
        results.append((own, words.words))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
