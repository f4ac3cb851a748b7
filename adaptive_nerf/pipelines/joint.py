"""Plain training over rays of many photos: one step, and the state that must survive for an exact resume.

Every draw is a function of (seed, purpose, step, index). Torch's own sums run on one thread, and the engine's kernels
do not depend on theirs, so the same seed gives the same weights bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from adaptive_nerf.data.ray_store import RayBatch, RayStore
from adaptive_nerf.engine import draws
from adaptive_nerf.engine.samples import Rays, Samples, next_stretch
from adaptive_nerf.engine.table_gradients import TableGradients
from adaptive_nerf.models.appearance import Appearance, as_taken, codes
from adaptive_nerf.models.backdrop import leaves_at
from adaptive_nerf.models.field import Field, Guard, Radiance, radiance
from adaptive_nerf.pipelines.optimiser import Optimiser, gradients_are_numbers
from adaptive_nerf.pipelines.rates import Rates

MOST_RAYS = 1 << 17
FEWEST_RAYS = 64
ROOM = 1.25  # for samples, above what is aimed at: a batch is never quite the mean
SAMPLES_A_RAY = 16  # on average: longer steps see to it. Twice as many rays are worth more than half the step
OBSERVE_EVERY, REBUILD_EVERY = 2, 16
LOOKED_RAYS = 4096  # at most, by steps that draw theirs otherwise
HELD_STEPS = 32  # before the first cells decay; it takes them 14 rebuilds to be taken for empty. A longer wait blurs:
# 256 cost a decibel on the town, for steps stay long and details are learned late
TOGETHER_STEPS = 256  # at first all trunks learn as one: each sees the rays of all, and they stay alike at the borders
DECAY, ADAPTING_DECAY = 0.95, 0.9  # of all cells, at a rebuild
SAMPLES_AT_FIRST, GROWN_AFTER_STEPS = 65_536, 2000  # as many more each time: in the end the noise of few rays is what
# is left to mend


@dataclass
class Sampling:
    """How long steps are, and how many rays fill a batch."""

    finest: float  # scene units
    stretch: float
    longest: float
    samples: int  # a step, about, at first
    most_rays: int = MOST_RAYS
    mean_samples: float = 512.0  # a ray, of late
    growth: int = 1  # of the samples
    most_growth: int = 1

    @property
    def step(self) -> float:
        return self.finest * self.stretch

    @property
    def rays(self) -> int:
        return min(self.most_rays, max(FEWEST_RAYS, int(self.growth * self.samples / max(self.mean_samples, 1e-3))))

    @property
    def capacity(self) -> int:
        return int(self.growth * self.samples * ROOM)

    def fill_up_to(self, most_samples: int, device: torch.device) -> None:
        """At once on a GPU, which is as soon done with many as with few."""
        at_first = SAMPLES_AT_FIRST if device.type == "cpu" else most_samples
        self.samples = min(most_samples, at_first)
        self.growth, self.most_growth = 1, max(1, most_samples // at_first)

    def saw(self, mean_samples: float, adjust: bool = True) -> None:
        self.mean_samples = mean_samples
        if adjust:
            stretch = next_stretch(self.stretch, mean_samples, SAMPLES_A_RAY, self.longest)
            self.mean_samples *= self.stretch / stretch
            self.stretch = stretch

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Taken:
    """What a step came to."""

    loss: float
    psnr_db: float
    rays: int
    samples: int
    finite: bool = True


@dataclass
class Joint:
    """`pool`: numbers of the pixels that rays are drawn from."""

    field: Field
    appearance: Appearance
    store: RayStore
    pool: Tensor
    optimiser: Optimiser
    sampling: Sampling
    seed: int
    near: float = 0.0  # scene units
    far: float = math.inf
    full_from: float = 0.0  # scene units, the height that the drone flew at: see Guard
    pull: float = 0.0  # of the depth, see `_pulled`
    gather: float = 0.0  # of what lies spread along a ray, see `_pulled`
    floor: Tensor | None = None  # occupancy bits that stay, whatever is seen: of a model that only absorbs a flight
    may: Tensor | None = None  # occupancy bits that may be set, see few_views; None: all
    step: int = 0
    held: tuple[str, ...] = ()  # names of parameters that take no gradient
    sink: TableGradients = field(init=False)

    def __post_init__(self) -> None:
        parameters = self.field.parameters.learnable(self.held)
        self.field = replace(self.field, parameters=parameters)
        self.appearance = replace(self.appearance, values=self.appearance.values.detach().requires_grad_())
        self.rows = self.appearance.rows(self.store.photo_ids)
        device = parameters.device
        self.store = self.store.on(device)
        self.sink = TableGradients(self.field.architecture.grid, len(parameters.tables), device)

    def take(self, rates: Rates) -> Taken:
        self.sampling.growth = min(self.sampling.most_growth, 1 + self.step // GROWN_AFTER_STEPS)
        return self.learn(self.draw(), rates)

    def draw(self, most: float = math.inf) -> RayBatch:
        index = torch.arange(int(min(most, self.sampling.rays)))
        drawn = draws.below(draws.stream(self.seed, "pixels", self.step), index, len(self.pool))
        return self.batch_of(self.pool.index_select(0, drawn))

    def batch_of(self, pixels: Tensor) -> RayBatch:
        """Photos may stay in the host's memory; what is drawn of them goes to where the field is."""
        return self.store.rays(pixels).to(self.field.parameters.device)

    def rays_of(self, batch: RayBatch) -> Rays:
        return Rays(batch.origins, batch.directions, self.near, self.far)

    def learn(self, batch: RayBatch, rates: Rates) -> Taken:
        samples, seen, loss, pulled = self._looked_at(batch, self.sink)
        value, count = float(loss.detach()), int(samples.count)
        finite = math.isfinite(value)
        if finite:
            pulled.backward()
            finite = gradients_are_numbers(self.field.parameters, self.appearance.values)
        if finite:
            self._as_one()
            self.optimiser.step(self.field.parameters, self.sink, self.appearance.values, rates)
            if rates.appearance:
                self.centre()
        else:
            value = math.nan
            self.sink.clear()
            self._forget_gradients()
        self._saw(samples)
        self._observe(samples, seen.composited.relative)
        self._rebuild()
        self.step += 1
        return Taken(value, -10 * math.log10(max(value, 1e-12)) if finite else math.nan, len(batch), count, finite)

    @torch.no_grad()
    def look_around(self) -> None:
        """What a step that draws rays of a few places alone does not tell: where there is something, everywhere that
        photos show, and how long steps along rays may be. Cells that nobody looked at would be taken for empty."""
        if self.step % OBSERVE_EVERY == 0:
            samples, seen, _, _ = self._looked_at(self.draw(LOOKED_RAYS), self.sink)
            self._saw(samples)
            self._observe(samples, seen.composited.relative)
        self._rebuild()

    def table_gradient(self, batch: RayBatch) -> Tensor:
        """What a step on these rays would ask of the tables; nothing is changed. [n_slots, rows, features]"""
        tables = self.field.parameters.tables
        sink = TableGradients(self.field.architecture.grid, len(tables), tables.device)
        _, _, _, pulled = self._looked_at(batch, sink)
        pulled.backward()
        self._forget_gradients()
        self.field.engine.scatter(sink)
        return sink.total

    def _looked_at(self, batch: RayBatch, sink: TableGradients) -> tuple[Samples, Radiance, Tensor, Tensor]:
        """What the rays show, how far that is from their photos, and what is to become less."""
        now, rays = replace(self.field, step=self.sampling.step), self.rays_of(batch)
        samples = now.march(rays, self.sampling.capacity, draws.stream(self.seed, "march", self.step))
        look = self.appearance.values.index_select(0, self.rows.index_select(0, batch.photos))
        seen = radiance(now, rays, samples, None, codes(self.appearance.kind, look), self.guard(len(batch)), sink)
        kept = ~samples.dropped
        loss = (as_taken(self.appearance.kind, seen.colours, look) - batch.colours)[kept].square().mean()
        return samples, seen, loss, self._pulled(loss, rays, seen, kept)

    def guard(self, n_rays: int) -> Guard:
        """Behind the ground there is another colour each time: only what is opaque explains a photo."""
        key = draws.stream(self.seed, "floor", self.step)
        index = torch.arange(3 * n_rays, device=self.field.parameters.device)
        return Guard(draws.uniform(key, index).view(n_rays, 3), self.full_from)

    def forget_step(self) -> None:
        """Leave the step at hand out, with all that it has put aside."""
        self.sink.clear()
        self._forget_gradients()
        self.step += 1

    def _forget_gradients(self) -> None:
        for _, value in self.field.parameters.named():
            value.grad = None
        self.appearance.values.grad = None

    def _pulled(self, loss: Tensor, rays: Rays, seen: Radiance, kept: Tensor) -> Tensor:
        """Where photos leave open how far away something is, it is as far as may be: ground, not fog in the air. Later
        what a ray meets shall be in one place: no haze before a surface, which has nothing to fear from that."""
        if self.gather and self.full_from:
            loss = loss + self.gather / self.full_from * seen.composited.distortion[kept].mean()
        if not self.pull or not self.full_from:
            return loss
        depth = seen.composited.depth + (1 - seen.opacity) * leaves_at(rays, self.field.regions)
        return loss - self.pull / self.full_from * depth[kept].mean()

    def _as_one(self) -> None:
        """Trunks begin alike; with the same gradient they stay so."""
        gradient = self.field.parameters.trunks.grad
        fresh = self.floor is None and self.step < TOGETHER_STEPS
        if fresh and gradient is not None and bool(self.optimiser.active.all()):
            gradient.copy_(gradient.sum(0, keepdim=True).expand_as(gradient))

    @torch.no_grad()
    def centre(self) -> None:
        """The mean look of the photos is the neutral one: no scale, no offset."""
        if self.floor is None:
            self.appearance.values.sub_(self.appearance.values.mean(0))

    def _saw(self, samples: Samples) -> None:
        n_rays = max(1, int((~samples.dropped).sum()))
        self.sampling.saw(int(samples.count) / n_rays, adjust=self.floor is None)

    def _observe(self, samples: Samples, relative: Tensor) -> None:
        if self.step % OBSERVE_EVERY == 0:
            self.field.grids.observe(samples, relative)

    def _rebuild(self) -> None:
        adapting = self.floor is not None
        if (self.step + 1) % REBUILD_EVERY == 0 and (adapting or self.step >= HELD_STEPS):
            learning = self.optimiser.active.nonzero()[:, 0].tolist()
            self.field.grids.rebuild(ADAPTING_DECAY if adapting else DECAY, self.floor, learning, self.may)
