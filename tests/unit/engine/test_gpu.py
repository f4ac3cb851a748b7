"""On CUDA: the torch path against the same on the CPU, and tiny-cuda-nn where it is installed."""

import importlib.util

import pytest
import torch

from adaptive_nerf.engine.engines import TORCH, engine
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import trunk
from adaptive_nerf.engine.samples import Occupancy, Rays, Regions, Stepping
from adaptive_nerf.engine.table_gradients import TableGradients
from tests.support.engine_cases import random_rays

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA")]
GRID = HashGrid(8, 4, 14, 16, 512)
REGIONS = Regions.of([(0.0, 0.0, 0.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 2.0, 1.0, 1.0)])


def pictures(serving, device):
    """A picture and the gradient of tables and weights; samples keep their full capacity."""
    generator, rays, shape = torch.Generator().manual_seed(0), random_rays(100, 1), trunk(32)
    tables = (torch.rand(2, GRID.rows, 4, generator=generator) - 0.5).to(device).requires_grad_()
    weights = torch.stack([shape.network.initial(generator) for _ in range(2)]).to(device).requires_grad_()
    rays = Rays(rays.origins.to(device), rays.directions.to(device), rays.near)
    samples = serving.march(rays, REGIONS, Occupancy.full(REGIONS, 0.1, device), Stepping(0.05, 3), 6000)
    sink = TableGradients(GRID, 2, device)
    features = serving.encode(tables, samples.local, samples.slots, GRID, sink)
    image = serving.composite(serving.trunk(weights, features, samples.slots, shape), samples).image
    image.square().sum().backward()
    serving.scatter(sink)
    return [value.detach().cpu() for value in (image, sink.total, weights.grad)]


def test_torch_gives_the_same_on_the_gpu_as_on_the_cpu():
    for found, expected in zip(pictures(TORCH, "cuda"), pictures(TORCH, "cpu"), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(importlib.util.find_spec("tinycudann") is None, reason="tinycudann is not installed")
def test_tiny_cuda_nn_gives_the_same_within_half_precision():
    assert engine("cuda").name == "tcnn"
    for found, expected in zip(pictures(engine("cuda"), "cuda"), pictures(TORCH, "cpu"), strict=True):
        assert float((found - expected).norm() / expected.norm()) < 0.02
