"""Marching in torch against a loop over lattice points."""

import math

import numpy as np
import pytest
import torch

from adaptive_nerf.engine import draws
from adaptive_nerf.engine.reference_march import march, routed
from adaptive_nerf.engine.samples import BLOCK, Occupancy, Rays, Regions, Stepping
from tests.support.engine_cases import random_occupancy, random_rays

BOXES = ((0.0, 0.0, 0.0, 1.0, 1.0, 1.0), (0.8, 0.1, 0.0, 2.0, 1.0, 0.7))
HARD = Regions.of(BOXES)
SOFT = Regions(BOXES, HARD.centroids, margin=1.3, axes=(0, 1))


def bit(regions, occupancy, slot, place):
    cell = [int((place[axis] - regions.boxes[slot][axis]) / occupancy.cell) for axis in range(3)]
    blocks = occupancy.blocks[slot]
    cell = [min(max(part, 0), blocks[axis] * BLOCK - 1) for axis, part in enumerate(cell)]
    word = (cell[0] // 4 * blocks[1] + cell[1] // 4) * blocks[2] + cell[2] // 4
    word += sum(math.prod(each) for each in occupancy.blocks[:slot])
    return int(occupancy.words[word]) >> (cell[0] % 4 * 16 + cell[1] % 4 * 4 + cell[2] % 4) & 1


def looped(rays, regions, occupancy, step):
    """(ray, slot, t) of every sample, by asking every point of the lattice."""
    found = []
    for ray, (origin, direction) in enumerate(zip(rays.origins.double(), rays.directions.double(), strict=True)):
        one = (torch.tensor(regions.bounds[:3]) - origin) / direction
        other = (torch.tensor(regions.bounds[3:]) - origin) / direction
        enter, leave = max(float(torch.minimum(one, other).max()), rays.near), float(torch.maximum(one, other).min())
        for point in range(int(4 / step)):
            t = enter + (point + 0.5) * step
            if t >= min(leave, rays.far):
                break
            place = origin + t * direction
            weights = routed(place, regions)
            found += [(ray, slot, t) for slot, weight in enumerate(weights.tolist())
                      if weight > 0 and bit(regions, occupancy, slot, place)]
    return found


@pytest.mark.parametrize("regions", [HARD, SOFT], ids=["hard", "soft"])
def test_samples_are_those_of_a_loop_over_the_lattice(regions):
    occupancy, rays = random_occupancy(regions, 1 / 24, seed=3), random_rays(12, seed=4)
    samples = march(rays, regions, occupancy, Stepping(0.04), 2000).trimmed()
    rows = samples.order.long()
    found = list(zip(samples.rays[rows].tolist(), samples.slots[rows].tolist(), samples.t[rows].tolist(), strict=True))
    expected = looped(rays, regions, occupancy, 0.04)
    assert [entry[:2] for entry in found] == [entry[:2] for entry in expected]
    np.testing.assert_allclose([entry[2] for entry in found], [entry[2] for entry in expected], atol=1e-6)
    boxes = torch.tensor(regions.boxes)[samples.slots.long()]
    places = rays.origins[samples.rays.long()] + samples.t[:, None] * rays.directions[samples.rays.long()]
    sides = torch.tensor(regions.sides)[samples.slots.long()]
    torch.testing.assert_close(samples.local, (places - boxes[:, :3]) / sides[:, None], atol=1e-6, rtol=0)
    assert (samples.slots.diff() >= 0).all()


def test_rays_that_miss_have_no_samples_and_rays_without_room_are_named():
    regions = Regions.of([BOXES[0]])
    rays = Rays(torch.tensor([[5.0, 5, 5], [0.5, 0.5, -1], [0.5, 0.4, -1], [0.5, 0.3, -1]]),
                torch.tensor([[0.0, 0, 1]] * 4))
    samples = march(rays, regions, Occupancy.full(regions, 0.1), Stepping(0.1), 25)
    assert samples.offsets.tolist() == [0, 0, 10, 20, 20]
    assert samples.dropped.tolist() == [False, False, False, True]
    assert int(samples.count) == 20
    assert len(samples.local) == 25


def test_a_ray_can_be_marched_in_parts():
    regions = HARD
    occupancy, rays = random_occupancy(regions, 1 / 24, seed=1), random_rays(9, seed=2)
    whole = march(rays, regions, occupancy, Stepping(0.05, key=8), 2000).trimmed()
    first, parts = None, []
    for _ in range(40):
        part = march(rays, regions, occupancy, Stepping(0.05, key=8, most=3), 2000, first).trimmed()
        parts += list(zip(part.rays.tolist(), part.t.tolist(), strict=True))
        first = part.following
    assert (first == -1).all()
    assert sorted(parts) == sorted(zip(whole.rays.tolist(), whole.t.tolist(), strict=True))


def test_stratified_samples_lie_where_the_draw_of_the_ray_says():
    regions = Regions.of([BOXES[0]])
    rays = Rays(torch.tensor([[0.5, 0.5, -1.0]] * 3), torch.tensor([[0.0, 0, 1]] * 3))
    samples = march(rays, regions, Occupancy.full(regions, 0.1), Stepping(0.1, key=77), 40)
    shift = draws.uniform(77, torch.arange(3))
    torch.testing.assert_close(samples.t[samples.offsets[:-1].long()], 1 + 0.1 * shift)


def test_shares_are_continuous_where_a_region_ends():
    places = torch.stack([torch.linspace(0.8, 1.0, 2001), torch.full((2001,), 0.5), torch.full((2001,), 0.3)], 1)
    shares = routed(places.double(), SOFT)
    torch.testing.assert_close(shares.sum(1), torch.ones(2001, dtype=torch.float64))
    assert shares[1:].sub(shares[:-1]).abs()[5:].max() < 0.01
    assert (routed(torch.tensor([[9.0, 9, 9]]), SOFT) == 0).all()
