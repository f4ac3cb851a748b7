"""The field engine: points and samples a second of each operation, against the plain yardstick and the roofline.

Everything is timed in one run, ours and the yardstick's turn by turn, so that a busy machine slows both; medians.
Training steps run on a town by formula, 32 samples a ray, with occupancy. Takes about a minute on an idle machine.
"""

import ctypes
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from adaptive_nerf.common.command_line import run
from adaptive_nerf.common.progress import say
from adaptive_nerf.engine.engines import Engine, engine
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import colour_head, trunk
from adaptive_nerf.engine.precision import set_half
from adaptive_nerf.engine.samples import Occupancy, Stepping
from adaptive_nerf.engine.threads import threads
from bench import operations, roofline, small_town
from bench.harness import Figure, arguments, report, seconds
from bench.training import step_for
from bench.yardstick import POINTS, RAYS, SAMPLES, Yardstick

GRID = HashGrid(16, 2, 19, 16, 2048)
FAST_GRID = HashGrid(8, 4, 19, 16, 2048)
USEFUL_FLOP = 6  # a weight and sample, of a forward and a backward
LOADS = 8  # a point and level
TURNS = 3


def main() -> None:
    options = arguments(__doc__).parse_args()
    torch.manual_seed(0)
    serving = engine()
    say(f"engine: {serving.name}, threads: {threads()}, and {torch.get_num_threads()} of torch")
    plain = Yardstick()
    figures = [*encode_figures(serving, plain), *field_figures(serving, plain), *step_figures(serving, plain),
               occupancy_saving(serving), bytes_per_sample(),
               *operations.figures(serving, in_halves(), GRID, FAST_GRID), *roofline.probe().figures()]
    report("engine", figures, options.json)


def turn_by_turn(ours: Callable[[], object], theirs: Callable[[], object], turns: int = TURNS,
                 each: int = 3) -> tuple[float, float]:
    """Median seconds of ours, and the median over the turns of theirs over ours."""
    ours()
    mine, ratios = [], []
    for _ in range(turns):
        before = statistics.median(seconds(ours) for _ in range(each))
        other = seconds(theirs)
        after = statistics.median(seconds(ours) for _ in range(each))
        mine += [before, after]
        ratios.append(other / ((before + after) / 2))
    return statistics.median(mine), statistics.median(ratios)


def share_of_roofline(work: Callable[[], object], least_seconds: Callable[[roofline.Roofline], float]) -> float:
    """Percent, each run of the work beside a probe of its own."""
    work()
    shares = []
    for _ in range(TURNS):
        taken = statistics.median(seconds(work) for _ in range(3))
        shares.append(100 * least_seconds(roofline.probe()) / taken)
    return statistics.median(shares)


def encode_figures(serving: Engine, plain: Yardstick) -> list[Figure]:
    tables = torch.empty(1, GRID.rows, 2).uniform_(-1e-4, 1e-4).requires_grad_()
    slots = torch.zeros(POINTS, dtype=torch.int32)

    @torch.no_grad()
    def forward() -> None:
        serving.encode(tables, plain.points, slots, GRID)

    def both() -> None:
        tables.grad = None
        serving.encode(tables, plain.points, slots, GRID).sum().backward()

    forward_s, forward_x = turn_by_turn(forward, plain.encode)
    share = share_of_roofline(forward, lambda top: POINTS * GRID.levels * LOADS / top.random_loads_per_s)
    both_s, both_x = turn_by_turn(both, plain.encode_both, 2)
    return [Figure("encode_forward_mpoints_per_s", POINTS / forward_s / 1e6, "M points/s"),
            Figure("encode_forward_x", forward_x, "x", 50), Figure("encode_forward_roofline_pct", share, "%", 70),
            Figure("encode_both_mpoints_per_s", POINTS / both_s / 1e6, "M points/s"),
            Figure("encode_both_x", both_x, "x", 85)]


def field_figures(serving: Engine, plain: Yardstick) -> list[Figure]:
    shapes = trunk(32), colour_head()
    generator = torch.Generator().manual_seed(0)
    weights = [shape.initial(generator)[None].requires_grad_() for shape in (shapes[0].network, shapes[1])]
    samples = step_for(serving, GRID, "colour", RAYS, SAMPLES).march(0)
    n = len(samples.t)  # about RAYS * SAMPLES
    features = torch.rand(GRID.levels, n, 2).permute(1, 0, 2).requires_grad_()
    directions, gradient = torch.randn(RAYS, 16), torch.randn(n, 4)

    def both() -> None:
        for tensor in (*weights, features):
            tensor.grad = None
        serving.field(*weights, features, directions, samples, shapes).backward(gradient)

    taken, ratio = turn_by_turn(both, plain.field_both)
    ratio *= n / (RAYS * SAMPLES)
    flop = n * USEFUL_FLOP * (shapes[0].network.n_weights + shapes[1].n_weights)
    share = share_of_roofline(both, lambda top: flop / top.flops_per_s)
    return [Figure("field_both_msamples_per_s", n / taken / 1e6, "M samples/s"),
            Figure("field_both_x_torch", ratio, "x", 5), Figure("field_both_roofline_pct", share, "%", 70)]


def in_halves() -> Engine:
    """The engine that works in halves, where the CPU has them."""
    set_half(True)
    found = engine()
    set_half(False)
    return found


def step_figures(serving: Engine, plain: Yardstick) -> list[Figure]:
    figures = []
    for name, step, asked in (("train_step", step_for(serving, GRID, "colour", RAYS, SAMPLES), 30),
                              ("train_step_fast", step_for(in_halves(), FAST_GRID, "deferred", 2048, 32), 60)):
        for number in range(3):
            step.take(number)
        taken, _ = turn_by_turn(lambda step=step: step.take(3), lambda: None, 3)
        _, ratio = turn_by_turn(lambda step=step: step.take(3), plain.step, 3)
        ratio *= step.samples_taken / (RAYS * SAMPLES)
        figures += [Figure(f"{name}_x", ratio, "x", asked),
                    Figure(f"{name}_msamples_per_s", step.samples_taken / taken / 1e6, "M samples/s")]
    return figures


def occupancy_saving(serving: Engine) -> Figure:
    """Samples at 96 a ray over those with occupancy, on the town by formula; 0 where the pictures differ too much."""
    seen, cell = small_town.rays(4096, seed=5), 1 / 256
    images, counts = [], []
    full = Occupancy.full(small_town.REGIONS, cell)
    count = int(serving.march(seen, small_town.REGIONS, full, Stepping(0.01), 1 << 20).count)
    step = 0.01 * count / (SAMPLES * len(seen.origins))
    for occupancy in (full, small_town.surface_occupancy(cell)):
        samples = serving.march(seen, small_town.REGIONS, occupancy, Stepping(step), 1 << 20).trimmed()
        images.append(serving.composite(small_town.Analytic().values(samples.local), samples).image)
        counts.append(int(samples.count))
    alike_db = -10 * torch.log10((images[0] - images[1]).square().mean().clamp(min=1e-12))
    return Figure("occupancy_saving_x", counts[0] / counts[1] if alike_db >= 40 else 0.0, "x", 4)


def bytes_per_sample() -> Figure:
    """In a process of its own: memory that others gave back here would serve again, and not be counted."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        return Figure("bytes_per_sample", fresh.submit(_grown_per_sample).result(), "bytes", 200, "lower")


def _grown_per_sample() -> float:
    """How much more a fast step of many samples holds at its peak than one of few: per sample."""
    serving, peaks, taken = in_halves(), [], []
    for n_rays in (1024, 8192):
        step = step_for(serving, FAST_GRID, "deferred", n_rays, 32, n_batches=1)
        step.take(0)
        step.take(1)
        peaks.append(_peak_of(lambda step=step: step.take(2)))
        taken.append(step.samples_taken)
        del step
    return (peaks[1] - peaks[0]) / (taken[1] - taken[0])


def _peak_of(action: Callable[[], object]) -> int:
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before must not be counted
    Path("/proc/self/clear_refs").write_text("5")
    action()
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


if __name__ == "__main__":
    run(main)
