"""A field trained by the cpu engine is as good as one trained by the torch reference, with the same draws and steps."""

import functools
import statistics

import pytest

from adaptive_nerf.engine.engines import CPU_HALF, TORCH
from adaptive_nerf.engine.hash_grid import HashGrid
from bench.training import step_for

STEPS = 60


@functools.cache
def scores(serving, kind):
    """Of three seeds, in dB."""
    found = []
    for seed in range(3):
        step = step_for(serving, HashGrid(4, 4, 12, 8, 128), kind, 128, 16, seed, STEPS)
        before = step.psnr(512)
        for number in range(STEPS):
            step.take(number)
        found.append(step.psnr(512))
        assert found[-1] > before + 1
    return found


@pytest.mark.system
@pytest.mark.parametrize("kind", ["deferred", "colour"])
@pytest.mark.parametrize("halves", [False, True])
def test_the_small_town_is_learned_as_well_as_by_the_reference(cpu, kind, halves):
    ours, theirs = scores(CPU_HALF if halves else cpu, kind), scores(TORCH, kind)
    assert abs(statistics.mean(ours) - statistics.mean(theirs)) < 0.1, (ours, theirs)
