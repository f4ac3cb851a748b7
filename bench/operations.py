"""The operations one by one, in points or samples a second: what a step is made of. Nothing is asked of them."""

import statistics
from collections.abc import Callable, Iterator

import torch

from adaptive_nerf.engine.engines import Engine
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import colour_head, trunk
from adaptive_nerf.engine.optimise import Moments
from adaptive_nerf.engine.table_gradients import TableGradients
from bench.harness import Figure, seconds
from bench.training import step_for
from bench.yardstick import POINTS, RAYS, SAMPLES

RUNS = 7


def figures(serving: Engine, halves: Engine, grid: HashGrid, fast_grid: HashGrid) -> list[Figure]:
    """Rows in halves only where the engine has them."""
    found = [*encode_rates(serving, fast_grid, ""), *field_rates(serving, grid, ""), *ray_rates(serving, grid),
             *optimise_rates(serving, grid, fast_grid)]
    if halves is not serving:
        found += [*encode_rates(halves, fast_grid, "_half"), *field_rates(halves, grid, "_half")]
    return found


def rate(name: str, unit: str, count: int, work: Callable[[], object]) -> Figure:
    work()
    taken = statistics.median(seconds(work) for _ in range(RUNS))
    return Figure(f"{name}_m{unit}_per_s", count / taken / 1e6, f"M {unit}/s")


def encode_rates(serving: Engine, grid: HashGrid, suffix: str) -> Iterator[Figure]:
    tables = torch.empty(1, grid.rows, grid.features).uniform_(-1e-4, 1e-4).requires_grad_()
    points, slots = torch.rand(3, POINTS).t(), torch.zeros(POINTS, dtype=torch.int32)

    @torch.no_grad()
    def forward() -> None:
        serving.encode(tables, points, slots, grid)

    def both() -> None:
        tables.grad = None
        serving.encode(tables, points, slots, grid).sum().backward()

    name = f"encode_{grid.levels}x{grid.features}"
    yield rate(f"{name}_forward{suffix}", "points", POINTS, forward)
    yield rate(f"{name}_both{suffix}", "points", POINTS, both)


def field_rates(serving: Engine, grid: HashGrid, suffix: str) -> Iterator[Figure]:
    """Colour per sample; the backward in single precision has its own figure, with its ratio to the yardstick."""
    shapes, generator = (trunk(grid.outputs), colour_head()), torch.Generator().manual_seed(0)
    weights = [shape.initial(generator)[None].requires_grad_() for shape in (shapes[0].network, shapes[1])]
    samples = step_for(serving, grid, "colour", RAYS, SAMPLES, n_batches=1).march(0)
    n = len(samples.t)
    features = torch.rand(grid.levels, n, grid.features).permute(1, 0, 2).requires_grad_()
    directions, gradient = torch.randn(RAYS, 16), torch.randn(n, 4)

    @torch.no_grad()
    def forward() -> None:
        serving.field(*weights, features, directions, samples, shapes)

    def both() -> None:
        for tensor in (*weights, features):
            tensor.grad = None
        serving.field(*weights, features, directions, samples, shapes).backward(gradient)

    yield rate(f"field_forward{suffix}", "samples", n, forward)
    if suffix:
        yield rate(f"field_both{suffix}", "samples", n, both)


def ray_rates(serving: Engine, grid: HashGrid) -> Iterator[Figure]:
    """Of rays with occupancy, as the fast step takes them; composite both ways, of a density and a colour."""
    step = step_for(serving, grid, "deferred", 2048, 32, n_batches=1)
    samples = step.march(0)
    values = torch.rand(len(samples.t), 4).requires_grad_()

    def both() -> None:
        values.grad = None
        serving.composite(values, samples).image.sum().backward()

    yield rate("march", "samples", len(samples.t), lambda: step.march(0))
    yield rate("composite_both", "samples", len(samples.t), both)


def optimise_rates(serving: Engine, grid: HashGrid, fast_grid: HashGrid) -> Iterator[Figure]:
    """A step of the tables, from the gradient of as many features: of all entries, and of touched ones."""
    points, slots = torch.rand(3, POINTS).t(), torch.zeros(POINTS, dtype=torch.int32)

    def step_of(shape: HashGrid, take: Callable[..., object]) -> Callable[[], object]:
        tables, sink = torch.zeros(1, shape.rows, shape.features), TableGradients(shape, 1)
        gradient = torch.randn(shape.levels, POINTS, shape.features).permute(1, 0, 2)
        moments = Moments.of(tables)

        def work() -> None:
            sink.add(points, slots, gradient)
            take(tables, moments, sink)

        return work

    rates = torch.tensor([0.01])
    yield rate("adam_tables", "points", POINTS, step_of(grid, lambda *what: serving.adam_tables(*what, (1, 0.01))))
    yield rate("adam_lazy_8x4", "points", POINTS, step_of(fast_grid, lambda *what: serving.adam_lazy(*what, rates)))
