"""What the cpu engine promises beyond the right numbers: the same bits for any threads, and no crash on odd input."""

import contextlib
import os
import threading

import pytest
import torch

from adaptive_nerf.engine.cpu import buffers, library
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import colour_head, trunk
from adaptive_nerf.engine.optimise import Moments
from adaptive_nerf.engine.samples import Occupancy, Regions, Stepping
from adaptive_nerf.engine.table_gradients import TableGradients
from tests.support.engine_cases import random_occupancy, random_rays

GRID = HashGrid(4, 4, 12, 8, 200)
REGIONS = Regions(((0.0, 0.0, 0.0, 1.0, 1.0, 1.0), (0.8, 0.0, 0.0, 2.0, 1.0, 1.0)), ((0.5,) * 3, (1.4, 0.5, 0.5)), 1.3)


def training_step(cpu, n_rays=700, seed=0):
    """Every operation once, forward and backward; all that came of it."""
    generator = torch.Generator().manual_seed(seed)
    rays, shapes = random_rays(n_rays, seed), (trunk(16), colour_head())
    samples = cpu.march(rays, REGIONS, random_occupancy(REGIONS, 1 / 40, 1), Stepping(0.01, seed), 40_000).trimmed()
    tables = (torch.rand(2, GRID.rows, 4, generator=generator) - 0.5).requires_grad_()
    weights = [torch.stack([shape.initial(generator) for _ in range(2)]).requires_grad_()
               for shape in (shapes[0].network, shapes[1])]
    sink, moments = TableGradients(GRID, 2), Moments.of(tables)
    directions = cpu.spherical_harmonics(rays.directions)
    features = cpu.encode(tables, samples.local, samples.slots, GRID, sink)
    places = cpu.composite(cpu.trunk(weights[0], features, samples.slots, shapes[0]), samples)
    values = cpu.field(*weights, features, directions, samples, shapes)
    colours = cpu.colour(weights[1], places.image, directions, torch.zeros(n_rays, dtype=torch.int32), shapes[1])
    picture = cpu.composite(values, samples)
    (colours.square().sum() + picture.image.sum() + picture.distortion.sum()).backward()
    cpu.adam_lazy(tables, moments, sink, torch.tensor([0.01, 0.02]))
    slopes = [weight.grad for weight in weights]
    return [tables.detach(), moments.second, *slopes, picture.image.detach(), samples.local]


def other_ways(cpu, n_rays=700, seed=0):
    """What that leaves out: a buffer too small for all rays, gradients without a sink and of places, blending at once,
    whole tables, arrays; all that came of it."""
    generator, shape = torch.Generator().manual_seed(seed), trunk(16)
    rays = random_rays(n_rays, seed)
    samples = cpu.march(rays, REGIONS, random_occupancy(REGIONS, 1 / 40, 1), Stepping(0.01), 4000)
    assert samples.dropped.any()
    tables = (torch.rand(2, GRID.rows, 4, generator=generator) - 0.5).requires_grad_()
    weights = torch.stack([shape.network.initial(generator) for _ in range(2)]).requires_grad_()
    local = samples.local.clone().requires_grad_()
    features = cpu.encode(tables, local, samples.slots, GRID)
    picture = cpu.composite(cpu.trunk(weights, features, samples.slots, shape), samples, full_from=0.5)
    (picture.image.square().sum() + picture.depth.sum()).backward()
    found = [local.grad, tables.grad.clone(), weights.grad.clone()]
    sink, moments = TableGradients(GRID, 2), Moments.of(tables)
    at_once = cpu.blend(tables, weights, samples, (GRID, shape), sink)
    (at_once.image.sum() + at_once.distortion.sum()).backward()
    cpu.adam_tables(tables.detach(), moments, sink, (3, 0.01))
    values, of_values = torch.rand(100_000, generator=generator), Moments.of(torch.zeros(100_000))
    cpu.adam_dense(values, of_values, torch.rand(100_000, generator=generator), (1, 0.01))
    met = cpu.surfaces(samples, picture, 0.05, 2)
    return [*found, *vars(samples).values(), *vars(picture).values(), *vars(at_once).values(), *vars(met).values(),
            weights.grad, tables.detach(), moments.first, moments.second, values, of_values.second]


@pytest.mark.parametrize("work", [training_step, other_ways])
def test_no_bit_depends_on_the_number_of_threads(cpu, threads, work):
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(work(cpu))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)


def test_several_threads_may_use_it_at_once(cpu, threads):
    threads(2)
    expected, found = training_step(cpu), [None] * 4

    def work(index):
        found[index] = training_step(cpu)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in found:
        assert all(torch.equal(one, two) for one, two in zip(expected, result, strict=True))


FORK = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def succeeds_in_a_child(action):
    """Nothing large by torch itself in there: its threads do not survive a fork."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(Exception):
            code = 0 if action() else 1
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@FORK
def test_a_forked_child_can_use_it_after_its_parent_did(cpu, threads):
    threads(2)
    inputs = torch.rand(1, GRID.rows, 4), torch.rand(10_000, 3), torch.zeros(10_000, dtype=torch.int32), GRID
    expected = cpu.encode(*inputs)[::100].sum().item()
    assert succeeds_in_a_child(lambda: cpu.encode(*inputs)[::100].sum().item() == expected)


@FORK
def test_a_child_forked_while_another_thread_computes_can_use_it(cpu, threads):
    threads(2)
    inputs = torch.rand(1, GRID.rows, 4), torch.rand(10_000, 3), torch.zeros(10_000, dtype=torch.int32), GRID
    expected = cpu.encode(*inputs)[::100].sum().item()
    busy, enough = threading.Event(), threading.Event()

    def compute():
        while not enough.is_set():
            cpu.encode(*inputs)
            busy.set()

    other = threading.Thread(target=compute)
    other.start()
    busy.wait()
    try:
        assert all(succeeds_in_a_child(lambda: cpu.encode(*inputs)[::100].sum().item() == expected) for _ in range(10))
    finally:
        enough.set()
        other.join()


@FORK
def test_a_child_forked_while_another_thread_loads_the_library_loads_its_own(cpu, monkeypatch):
    monkeypatch.setattr(library, "_loaded", [])
    with library._loading:
        assert succeeds_in_a_child(library.library)


@pytest.mark.parametrize("n", [0, 1])
def test_empty_batches_and_single_points_are_served(cpu, n):
    results = training_step(cpu, n_rays=n)
    assert all(torch.isfinite(value).all() for value in results)


def test_wild_places_are_taken_inside_and_nan_stays_in_its_ray(cpu):
    wild = torch.tensor([[float("nan"), -3, 9], [1e30, float("inf"), 0.5], [float("-inf"), 0, 1]])
    tame = torch.tensor([[0.0, 0, 1], [1, 1, 0.5], [0, 0, 1]])
    tables, slots = torch.rand(1, GRID.rows, 4), torch.zeros(3, dtype=torch.int32)
    assert torch.equal(*(cpu.encode(tables, places, slots, GRID) for places in (wild, tame)))
    rays = random_rays(50, 3)
    rays.origins[7] = float("nan")
    samples = cpu.march(rays, REGIONS, Occupancy.full(REGIONS, 0.1), Stepping(0.1), 5000).trimmed()
    assert samples.offsets[7] == samples.offsets[8]
    values = torch.rand(len(samples.t), 4)
    values[samples.rays == 3] = float("nan")
    image = cpu.composite(values, samples).image
    assert image[3].isnan().all()
    assert torch.isfinite(image[torch.arange(50) != 3]).all()


def test_slots_that_are_not_loaded_and_other_types_are_refused_by_name(cpu):
    tables, local = torch.rand(2, GRID.rows, 4), torch.rand(3, 3)
    with pytest.raises(ValueError, match="a slot is not in 0 to 1"):
        cpu.encode(tables, local, torch.tensor([0, 1, 2], dtype=torch.int32), GRID)
    with pytest.raises(ValueError, match=r"local is torch\.float64"):
        cpu.encode(tables, local.double(), torch.tensor([0, 1, 1], dtype=torch.int32), GRID)


def test_the_backward_of_blending_at_once_is_refused_the_second_time(cpu):
    shape, generator = trunk(16), torch.Generator().manual_seed(1)
    samples = cpu.march(random_rays(50, 1), REGIONS, Occupancy.full(REGIONS, 0.1), Stepping(0.1), 5000).trimmed()
    weights = torch.stack([shape.network.initial(generator) for _ in range(2)]).requires_grad_()
    image = cpu.blend(torch.rand(2, GRID.rows, 4), weights, samples, (GRID, shape)).image
    image.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="can be run once"):
        image.sum().backward()


def test_large_memory_serves_again_when_the_last_tensor_over_it_is_gone():
    size = (buffers.LARGE // 4, 1)
    first = buffers.large(size, torch.float32)
    place, part = first.data_ptr(), first[5:].view(-1)
    del first
    other = buffers.large(size, torch.float32)
    assert other.data_ptr() != place
    del part
    assert buffers.large(size, torch.float32).data_ptr() == place


def test_a_double_backward_is_refused(cpu):
    tables = torch.rand(1, GRID.rows, 4, requires_grad=True)
    features = cpu.encode(tables, torch.rand(3, 3), torch.zeros(3, dtype=torch.int32), GRID)
    (slope,) = torch.autograd.grad(features.square().sum(), tables, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_a_step_of_what_was_added_up_before_is_the_same_step(cpu):
    results = []
    for added_up in (False, True):
        tables = torch.linspace(-1, 1, GRID.rows * 8).reshape(2, GRID.rows, 4).requires_grad_()
        sink, moments = TableGradients(GRID, 2), Moments.of(tables)
        local = torch.rand(500, 3, generator=torch.Generator().manual_seed(1))
        slots = (torch.arange(500) // 300).to(torch.int32)
        cpu.encode(tables, local, slots, GRID, sink).square().sum().backward()
        if added_up:
            cpu.scatter(sink)
            assert sink.total.any()
        cpu.adam_lazy(tables.detach(), moments, sink, torch.tensor([0.01, 0.02]))
        assert not sink.total.any()
        assert not sink.touched.any()
        results.append((tables.detach(), moments.first, moments.second))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
