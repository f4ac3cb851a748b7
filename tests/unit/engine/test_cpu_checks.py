"""What the library would read or write wildly is refused by name before it is called."""

from dataclasses import replace

import pytest
import torch

from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import colour_head, trunk
from adaptive_nerf.engine.optimise import Moments
from adaptive_nerf.engine.samples import Occupancy, Rays, Regions, Stepping
from adaptive_nerf.engine.table_gradients import TableGradients
from tests.support.engine_cases import ragged_samples

GRID, SHAPES = HashGrid(2, 2, 8, 4, 30), (trunk(4), colour_head())
SAMPLES = ragged_samples([3, 4], slots=1)
TABLES, WEIGHTS = torch.rand(1, GRID.rows, 2), torch.rand(1, SHAPES[0].network.n_weights)
HEAD, FEATURES, DIRECTIONS = torch.rand(1, SHAPES[1].n_weights), torch.rand(7, 2, 2), torch.rand(2, 16)
REGIONS = Regions.of([[0, 0, 0, 1, 1, 1]])

WRONG = {
    "tables is of shape": lambda cpu: cpu.encode(TABLES[:, 1:], SAMPLES.local, SAMPLES.slots, GRID),
    "local is of shape": lambda cpu: cpu.encode(TABLES, SAMPLES.local[:, :2], SAMPLES.slots, GRID),
    "weights is of shape": lambda cpu: cpu.trunk(WEIGHTS[:, 1:], FEATURES, SAMPLES.slots, SHAPES[0]),
    "features are 2 a place": lambda cpu: cpu.trunk(WEIGHTS, FEATURES[:, :1], SAMPLES.slots, SHAPES[0]),
    "directions is of shape": lambda cpu: cpu.colour(HEAD, torch.rand(2, 16), DIRECTIONS[:, 1:], None, SHAPES[1]),
    "place is of shape": lambda cpu: cpu.colour(HEAD, torch.rand(2, 15), DIRECTIONS, None, SHAPES[1]),
    "1 directions are": lambda cpu: cpu.field(WEIGHTS, HEAD, FEATURES, DIRECTIONS[:1], SAMPLES, SHAPES),
    "colour_weights has 2 rows": lambda cpu: cpu.field(WEIGHTS, HEAD.repeat(2, 1), FEATURES, DIRECTIONS, SAMPLES,
                                                       SHAPES),
    "samples.rays has to be": lambda cpu: cpu.field(WEIGHTS, HEAD, FEATURES, DIRECTIONS,
                                                    replace(SAMPLES, rays=SAMPLES.rays.long()), SHAPES),
    "7 samples are in use": lambda cpu: cpu.composite(torch.rand(6, 4), SAMPLES),
    "samples.offsets has to be": lambda cpu: cpu.composite(torch.rand(7, 4), replace(
        SAMPLES, offsets=SAMPLES.offsets.long())),
    "samples.order has to be": lambda cpu: cpu.surfaces(replace(SAMPLES, order=SAMPLES.order.long()),
                                                        cpu.composite(torch.rand(7, 4), SAMPLES), 0.1, 1),
    "trunk takes 4": lambda cpu: cpu.blend(torch.rand(1, 32, 1), WEIGHTS, SAMPLES,
                                           (HashGrid(1, 1, 5, 3, 3), SHAPES[0])),
    "origins is of shape": lambda cpu: cpu.march(Rays(DIRECTIONS, DIRECTIONS), REGIONS, Occupancy.full(REGIONS, 0.1),
                                                 Stepping(0.1), 10),
    "occupancy.words is of shape": lambda cpu: cpu.march(
        Rays(torch.rand(2, 3), torch.rand(2, 3)), REGIONS,
        replace(Occupancy.full(REGIONS, 0.1), words=torch.zeros(3, dtype=torch.int64)), Stepping(0.1), 10),
    "maxima is of shape": lambda cpu: cpu.observe(torch.zeros(64, dtype=torch.uint8), SAMPLES, torch.rand(7), REGIONS,
                                                  Occupancy.full(REGIONS, 0.1), 0.1),
    "there are 5 rows of samples": lambda cpu: cpu.observe(torch.zeros(64, dtype=torch.uint8), SAMPLES, torch.rand(5),
                                                           REGIONS, Occupancy.full(REGIONS, 0.25), 0.1),
    "values has to be contiguous": lambda cpu: cpu.adam_dense(DIRECTIONS.t(), Moments.of(torch.rand(16, 2)),
                                                              torch.rand(16, 2), (1, 0.1)),
    "moments.second is of shape": lambda cpu: cpu.adam_tables(
        TABLES, Moments(torch.zeros_like(TABLES), torch.zeros(3)[:, None, None]), TableGradients(GRID, 1), (1, 0.1)),
    "rates is of shape": lambda cpu: cpu.adam_lazy(TABLES, Moments.of(TABLES), TableGradients(GRID, 1), torch.rand(2)),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_shape_is_refused_by_name(cpu, message):
    with pytest.raises(ValueError, match=message):
        WRONG[message](cpu)
