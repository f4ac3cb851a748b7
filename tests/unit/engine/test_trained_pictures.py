"""A field trained by the cpu engine is as good as one trained by the torch reference, with the same draws and steps."""

import statistics

import pytest

from adaptive_nerf.engine.engines import TORCH
from adaptive_nerf.engine.hash_grid import HashGrid
from bench.training import step_for

STEPS = 60


@pytest.mark.system
@pytest.mark.parametrize("kind", ["deferred", "colour"])
def test_the_small_town_is_learned_as_well_as_by_the_reference(cpu, kind):
    scores = {}
    for serving in (cpu, TORCH):
        scores[serving.name] = []
        for seed in range(3):
            step = step_for(serving, HashGrid(4, 4, 12, 8, 128), kind, 128, 16, seed, STEPS)
            before = step.psnr(512)
            for number in range(STEPS):
                step.take(number)
            scores[serving.name].append(step.psnr(512))
            assert scores[serving.name][-1] > before + 1
    assert abs(statistics.mean(scores["cpu"]) - statistics.mean(scores["torch"])) < 0.1, scores
