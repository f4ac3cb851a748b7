"""One training step on the town by formula, for benches and tests: march, encode, field, composite, optimise."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from adaptive_nerf.engine import draws
from adaptive_nerf.engine.engines import Engine
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import Network, Trunk, colour_head, trunk
from adaptive_nerf.engine.optimise import Moments
from adaptive_nerf.engine.samples import Occupancy, Rays, Samples, Stepping
from adaptive_nerf.engine.table_gradients import TableGradients
from bench import small_town

TABLE_RATE, WEIGHT_RATE = 1e-2, 2e-3


@dataclass
class Step:
    """`deferred`: the colour head runs once a ray, Adam is lazy. Else every sample has its colour, Adam is dense."""

    serving: Engine
    grid: HashGrid
    deferred: bool
    occupancy: Occupancy
    step: float
    n_rays: int
    capacity: int
    seed: int = 0
    n_batches: int = 4  # of rays, taken in turn
    samples_taken: int = 0
    shapes: tuple[Trunk, Network] = field(init=False)
    tables: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.shapes = trunk(self.grid.outputs), colour_head()
        self.tables = ((torch.rand(1, self.grid.rows, self.grid.features, generator=generator) - 0.5) * 2e-4)
        self.tables.requires_grad_()
        self.weights = [shape.initial(generator)[None].requires_grad_() for shape in (self.shapes[0].network,
                                                                                      self.shapes[1])]
        self.moments = [Moments.of(values) for values in (self.tables, *self.weights)]
        self.sink = TableGradients(self.grid, 1)
        self.rates = torch.tensor([TABLE_RATE])
        self.batches = [(seen, small_town.truth(seen)) for seen in
                        (small_town.rays(self.n_rays, self.seed, number) for number in range(self.n_batches))]

    def march(self, number: int, seen: Rays | None = None) -> Samples:
        seen = self.batches[number % len(self.batches)][0] if seen is None else seen
        stepping = Stepping(self.step, draws.stream(self.seed, "march", number))
        room = self.capacity * max(1, len(seen.origins) // self.n_rays)
        return self.serving.march(seen, small_town.REGIONS, self.occupancy, stepping, room).trimmed()

    def picture(self, seen: Rays, samples: Samples) -> Tensor:
        """Colours of the rays over the background. -> [n_rays, 3]"""
        serving = self.serving
        directions = serving.spherical_harmonics(seen.directions)
        if self.deferred:
            image = serving.blend(self.tables, self.weights[0], samples, (self.grid, self.shapes[0]), self.sink).image
            colours = serving.colour(self.weights[1], image, directions, None, self.shapes[1])
            return torch.lerp(torch.tensor(small_town.BACKGROUND), colours, image[:, :1])
        features = serving.encode(self.tables, samples.local, samples.slots, self.grid, self.sink)
        values = serving.field(*self.weights, features, directions, samples, self.shapes)
        image = serving.composite(values, samples).image
        return image[:, 1:] + (1 - image[:, :1]) * small_town.BACKGROUND

    def take(self, number: int) -> float:
        seen, wanted = self.batches[number % len(self.batches)]
        samples = self.march(number, seen)
        self.samples_taken = len(samples.t)
        loss = torch.nn.functional.mse_loss(self.picture(seen, samples), wanted)
        loss.backward()
        self.optimise(number + 1)
        return float(loss.detach())

    @torch.no_grad()
    def optimise(self, number: int) -> None:
        tables, *rest = self.moments
        if self.deferred:
            self.serving.adam_lazy(self.tables, tables, self.sink, self.rates)
        else:
            self.serving.adam_tables(self.tables, tables, self.sink, (number, TABLE_RATE))
        for weights, moments in zip(self.weights, rest, strict=True):
            self.serving.adam_dense(weights, moments, weights.grad, (number, WEIGHT_RATE))
            weights.grad = None

    @torch.no_grad()
    def psnr(self, n_rays: int = 4096) -> float:
        seen = small_town.rays(n_rays, seed=999)
        error = self.picture(seen, self.march(0, seen)) - small_town.truth(seen)
        return float(-10 * torch.log10(error.square().mean()))


def step_for(serving: Engine, grid: HashGrid, kind: str, n_rays: int, samples_a_ray: int, seed: int = 0,
             n_batches: int = 4) -> Step:
    """With a step length that gives so many samples a ray."""
    deferred = kind == "deferred"
    cell = 1 / 256
    occupancy = small_town.surface_occupancy(cell, 3) if deferred else Occupancy.full(small_town.REGIONS, cell)
    made = Step(serving, grid, deferred, occupancy, 0.004, n_rays, n_rays * samples_a_ray * 9 // 8 + 2000, seed,
                n_batches)
    counted = serving.march(made.batches[0][0], small_town.REGIONS, occupancy, Stepping(0.004), 400 * n_rays).count
    made.step = 0.004 * int(counted) / (n_rays * samples_a_ray)
    return made
