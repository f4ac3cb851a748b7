"""Marching on CUDA against the reference; Triton's interpreter runs the kernels where there is no GPU."""

from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adaptive_nerf.engine import reference_march
from adaptive_nerf.engine.samples import Occupancy, Rays, Regions, Stepping
from tests.support.engine_cases import random_occupancy, random_rays
from tests.support.gpu_kernels import DEVICE, kernels

marching = kernels("marching")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of lanes that are masked: inf - inf, ...
often = settings(max_examples=15, phases=(Phase.reuse, Phase.generate))  # too slow to look for smaller examples
# Rays of many pieces; not every size can be compiled for a GPU.
PIECES = [32, marching.POINTS] if DEVICE == "cpu" else [marching.POINTS]
UNIT = Regions.of([(0.0, 0.0, 0.0, 1.0, 1.0, 1.0)])
TWO = Regions.of([(0.0, 0.0, 0.0, 1.0, 1.0, 1.0), (0.7, 0.1, 0.0, 2.0, 1.0, 0.9)])


def both(rays, regions, occupancy, stepping, capacity, first=None):
    """What the kernels and the reference find, after they were compared."""
    rays = replace(rays, origins=rays.origins.to(DEVICE), directions=rays.directions.to(DEVICE))
    occupancy = replace(occupancy, words=occupancy.words.to(DEVICE))
    found, expected = (march(rays, regions, occupancy, stepping, capacity, first)
                       for march in (marching.march, reference_march.march))
    for name, value in vars(expected).items():
        assert getattr(found, name).dtype == value.dtype, name
        assert getattr(found, name).shape == value.shape, name
    for name in ("slots", "rays", "order", "offsets", "dropped", "following", "count"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    for name in ("local", "t", "delta"):  # a sum of float64 in another order may round to the float32 beside it
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=0, rtol=2e-7, msg=name)
    return found


def overlapping(n_slots, generator):
    low = torch.rand(n_slots, 3, generator=generator) * torch.tensor([1.2, 0.3, 0.3])
    high = low + torch.rand(n_slots, 3, generator=generator) * 0.6 + 0.3
    return Regions.of(torch.cat([low, high], 1).tolist())


@often
@given(st.integers(0, 40), st.integers(0, 1 << 20), st.integers(1, 5), st.sampled_from([1.0, 1.2, 2.0]), st.booleans(),
       st.booleans(), st.sampled_from([2, 7, 1024]), st.sampled_from(PIECES))
def test_the_same_samples(n_rays, seed, n_slots, margin, inverse, stratified, most, points):
    generator = torch.Generator().manual_seed(seed)
    regions = replace(overlapping(n_slots, generator), margin=margin, axes=(0, 2) if inverse else (0, 1, 2),
                      routing="inverse" if inverse else "smooth")
    stepping = Stepping(0.021, seed if stratified else None, most)
    first = torch.randint(-1, 20, (n_rays,), generator=generator, dtype=torch.int32) if seed % 2 else None
    rays, occupancy = random_rays(n_rays, seed), random_occupancy(regions, 1 / 60, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marching, "POINTS", points)
        both(rays, regions, occupancy, stepping, 700, None if first is None else first.to(DEVICE))


@pytest.mark.parametrize("margin", [1.0, 1.2])
def test_parts_follow_each_other_until_all_rays_are_done(margin):
    regions, first, n_samples = replace(TWO, margin=margin), None, 0
    rays, occupancy = random_rays(12, 5), random_occupancy(TWO, 1 / 24, seed=2)
    for _ in range(12):
        found = both(rays, regions, occupancy, Stepping(0.05, key=8, most=5), 500, first)
        first, n_samples = found.following, n_samples + int(found.count)
    assert (first == -1).all()
    assert n_samples == int(both(rays, regions, occupancy, Stepping(0.05, key=8), 2000).count) > 100


@pytest.mark.parametrize("capacity", [0, 1, 25, 30, 1000])
def test_rays_without_room_are_dropped(capacity):
    rays = Rays(torch.tensor([[5.0, 5, 5], [0.5, 0.5, -1], [0.5, 0.4, -1], [0.5, 0.3, -1], [9.0, 9, 9]]),
                torch.tensor([[0.0, 0, 1]] * 5))
    found = both(rays, UNIT, Occupancy.full(UNIT, 0.1), Stepping(0.1), capacity)
    assert int(found.count) == min(capacity // 10, 3) * 10


def test_steps_lie_between_near_and_far():
    rays = replace(random_rays(20, 3), near=0.6, far=1.7)
    found = both(rays, TWO, Occupancy.full(TWO, 0.1), Stepping(0.02), 3000).trimmed()
    assert 0.6 < float(found.t.min()) < float(found.t.max()) < 1.7
    assert int(both(replace(rays, near=2.0), TWO, Occupancy.full(TWO, 0.1), Stepping(0.02), 3000).count) == 0


def test_the_bounds_may_be_those_of_boxes_that_are_not_loaded():
    regions = replace(TWO, whole=(-1.0, -1.0, -1.0, 3.0, 2.0, 2.0))
    assert int(both(random_rays(20, 4), regions, random_occupancy(regions, 1 / 24, 4), Stepping(0.03), 3000).count) > 50


@pytest.mark.parametrize("seed", range(2))
def test_rays_that_are_flat_or_long_or_no_rays_at_all(seed):
    rays, generator = random_rays(50, seed), torch.Generator().manual_seed(seed)
    flat = torch.where(torch.rand(50, 3, generator=generator) < 0.3, 0.0, rays.directions)
    flat[::17], rays.origins[5], rays.origins[6] = torch.nan, torch.inf, torch.nan
    flat[8], flat[9], flat[10] = 0.0, rays.directions[9] * 0.01, rays.directions[10] * 10
    rays.origins[11], flat[11] = torch.tensor([-0.5, 0.4, 0.0]), torch.tensor([1.0, 0.0, 0.0])  # along a face
    for occupancy in (random_occupancy(TWO, 1 / 24, seed), Occupancy.full(TWO, 0.1)):
        assert int(both(replace(rays, directions=flat), TWO, occupancy, Stepping(0.03), 3000).count) > 100


def test_rays_may_be_a_view():
    rays = random_rays(20, 9)
    part = Rays(rays.origins.t().contiguous().t()[3:17], rays.directions[3:17])
    assert int(both(part, UNIT, Occupancy.full(UNIT, 0.1), Stepping(0.03), 1000).count) > 100
