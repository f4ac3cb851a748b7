"""Test-time optimisation: a model absorbs new photos step by step. Used by adapt, by eval, and live by the viewer.

Only the experts that the photos touch and the photos' own appearance change; what experts share never does. Each step
is a function of its number alone, so the state after 64 steps is the same whether 64 or 128 were asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor

from adaptive_nerf.data.ray_store import LoadedPhoto, RayBatch, RayStore
from adaptive_nerf.engine import draws
from adaptive_nerf.engine.engines import engine
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.models.mixture import CHUNK_POINTS
from adaptive_nerf.models.model import Lineage, Model
from adaptive_nerf.pipelines.disagreement import FirstLook, first_looks, open_cells, tell_nobody
from adaptive_nerf.pipelines.joint import Joint, Sampling, Taken
from adaptive_nerf.pipelines.news import news_pool, with_news
from adaptive_nerf.pipelines.optimiser import Kind, Optimiser
from adaptive_nerf.pipelines.rates import Rates
from adaptive_nerf.pipelines.replay import replay_pool
from adaptive_nerf.rendering.types import never_cancelled

WARM_UP_STEPS, HALVED_AFTER_STEPS = 8, 48
PULL = 4e-3  # of depths towards far at first, as in training: where a house was, there is no ghost of it in the air
MOST_IS_KNOWN = 0.95  # share of table entries whose first gradients are told from news
NEWS_SHARE, FEWEST_EACH = 0.5, 4  # of the rays of new photos; no pixel with news is drawn more often than every so many
# steps: it would be learned by heart
ROOM_A_RAY = 48  # samples, on average
TOUCHED_SHARE = 1e-3  # of the new photos' samples: fewer do not count as touching an expert
PROBED_RAYS = 4096


@dataclass(frozen=True)
class AdaptSettings:
    rates: Rates
    rays: int  # a step
    replay: float  # share of them from old photos
    seed: int
    kind: Kind = "adam"
    samples: int = 65_536  # most, a step
    near: float = 0.0  # scene units
    far: float = math.inf
    full_from: float = 0.0  # scene units, see models.field.Guard
    chunk_points: int = CHUNK_POINTS  # most at once, before the first step


def rate_of_step(step: int) -> float:
    """Share of the full rates: what is news is learned first, then the noise of few rays is let settle."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) / (1 + step / HALVED_AFTER_STEPS)


class Adapter:
    """`old` are photos that the base was trained on, some of them, for replay. `looked`: as first_looks tells."""

    def __init__(self, base: Model, new: Sequence[LoadedPhoto], old: Sequence[LoadedPhoto], settings: AdaptSettings,
                 stopped: Callable[[], bool] = never_cancelled, looked: Callable[[int, int], None] = tell_nobody):
        self.base, self.settings, self.new = base, settings, tuple(new)
        before = base.mixture("before", settings.chunk_points)
        self.looks: list[FirstLook] = with_news(first_looks(before, new, stopped, looked))
        self._old = tuple(old) if settings.replay > 0 else ()
        self.joint = self._begin()
        self.news_pixels = news_pool(self.looks, self.joint.store.starts)
        self.touched = self._touched()
        self.joint.optimiser.active = torch.tensor([float(expert in self.touched) for expert in base.field.experts])
        self._hold_the_rest()
        everything, places = self.joint.store, range(len(new), len(new) + len(self._old))
        self.replayed = replay_pool(base.field, everything, places, self.looks, settings.seed,
                                    base.scene_frame.metres_per_unit, settings.chunk_points)
        self.steps = 0
        self._doubt_small_gradients()

    def step(self) -> Taken:
        share = rate_of_step(self.steps)
        self.joint.pull = PULL * share
        taken = self.joint.learn(self._draw(), self.settings.rates.scaled(share))
        self.steps += 1
        return taken

    def model(self, batch: str = "", base_digest: str = "") -> Model:
        """As it stands now; later steps do not change what is handed out."""
        joint, base = self.joint, self.base
        field = replace(joint.field, parameters=joint.field.parameters.copied(), grids=joint.field.grids.copied(),
                        step=base.field.step)
        appearance = replace(joint.appearance, values=joint.appearance.values.detach().clone())
        lineage = Lineage(base_digest, "adapt", batch, self.steps, datetime.now(UTC).isoformat(timespec="seconds"))
        return replace(base, field=field, appearance=appearance,
                       lineage=(*base.lineage, lineage)).trained(self.touched, self.steps)

    def live_model(self) -> Model:
        """The same without a copy: it goes on changing with every step."""
        field = replace(self.joint.field, parameters=self.joint.field.parameters.map(Tensor.detach),
                        step=self.base.field.step)
        return replace(self.base, field=field)

    def _begin(self) -> Joint:
        base, settings = self.base, self.settings
        parameters = base.field.parameters.copied()
        grids = base.field.grids.copied()
        grids.maxima.zero_()
        floor = base.field.grids.occupancy.words
        open_cells(grids, self.looks, base.scene_frame.metres_per_unit)
        store = RayStore((*self.new, *self._old))
        appearance = base.appearance.with_photos(store.photo_ids)
        appearance = replace(appearance, values=self._first_guess(appearance))
        optimiser = Optimiser.of(engine(parameters.device), settings.kind, parameters, appearance.values,
                                 table_moments=False)  # see _doubt_small_gradients
        sampling = Sampling(**base.training["sampling"])
        sampling.samples, sampling.growth = min(settings.samples, settings.rays * ROOM_A_RAY), 1
        sampling.stretch = base.field.step / sampling.finest
        field = replace(base.field, parameters=parameters, grids=grids)
        pool = store.pool(range(len(self.new)))
        held = tuple(name for name in ("heads", "background") if not getattr(settings.rates, name))
        return Joint(field, appearance, store, pool, optimiser, sampling, settings.seed, settings.near, settings.far,
                     full_from=settings.full_from, floor=floor, held=held)

    def _first_guess(self, appearance: Appearance) -> Tensor:
        """Exposures of the new photos, from the first look: steps then change the place, not its brightness."""
        values = appearance.values.clone()
        if appearance.kind != "affine" or not self.settings.rates.appearance:
            return values
        scale, offset = appearance.neutral[:3] + 1, appearance.neutral[3:]
        for row, look in zip(appearance.rows([photo.photo.photo_id for photo in self.new]), self.looks, strict=True):
            own_scale, own_offset = (torch.as_tensor(found, dtype=values.dtype, device=values.device)
                                     for found in look.exposure)
            values[row] = torch.cat([scale * own_scale - 1, offset * own_scale + own_offset])
        return values

    def _touched(self) -> tuple[int, ...]:
        """Ids of the experts that the rays of the new photos pass through."""
        index = torch.arange(PROBED_RAYS)
        pool, key = self.joint.pool, draws.stream(self.settings.seed, "touched")
        batch = self.joint.batch_of(pool[draws.below(key, index, len(pool))])
        rays = self.joint.rays_of(batch)
        field = replace(self.joint.field, step=self.joint.sampling.step)
        room, done = min(self.settings.chunk_points, PROBED_RAYS * ROOM_A_RAY), 0
        counts = torch.zeros(len(field.experts), dtype=torch.int64, device=rays.origins.device)
        while done < PROBED_RAYS:
            rest = replace(rays, origins=rays.origins[done:], directions=rays.directions[done:])
            marched, samples = field.march_first(rest, room)
            counts += torch.bincount(samples.slots.long(), minlength=len(counts))
            done += len(marched.origins)
        shares = counts / counts.sum().clamp(min=1)
        return tuple(expert for expert, share in zip(self.base.field.experts, shares.tolist(), strict=True)
                     if share > TOUCHED_SHARE)

    def _hold_the_rest(self) -> None:
        """Untouched experts keep their cells, and photos that the base knows keep their looks, though replayed."""
        occupancy, base = self.joint.field.grids.occupancy, self.base
        for slot, expert in enumerate(base.field.experts):
            if expert not in self.touched:
                words = slice(*occupancy.first_words[slot:slot + 2])
                occupancy.words[words] = base.field.grids.occupancy.words[words]
        looks = self.joint.appearance
        held = set(base.appearance.photo_ids) - {photo.photo.photo_id for photo in self.new}
        free = torch.tensor([[photo_id not in held] for photo_id in looks.photo_ids], device=looks.values.device)
        looks.values.register_hook(lambda gradient: torch.where(free, gradient, 0.0))

    @torch.no_grad()
    def _doubt_small_gradients(self) -> None:
        """Adam's steps are full ones however small a gradient is, and would shake what the photos confirm. Steps are
        therefore measured by what is a large gradient at first, level by level: what is news goes at once, the rest
        hardly."""
        with torch.enable_grad():
            gradient = self.joint.table_gradient(self._draw())
        usual = torch.full((self.joint.field.architecture.grid.levels,), math.inf)
        for number, level in enumerate(self.joint.field.architecture.grid.layout):
            found = gradient[:, level.offset:level.offset + level.size].cpu().numpy()
            found = np.abs(found[found != 0])  # torch takes three times as long for it
            if len(found):
                place = int(MOST_IS_KNOWN * (len(found) - 1))
                usual[number] = float(np.partition(found, place)[place])
        self.joint.optimiser.usual = usual

    def _draw(self) -> RayBatch:
        """Rays of the new photos, many of them of news, and of old ones where there are none; mixed, for where samples
        have no room it is the last rays that go without."""
        n_old = round(self.settings.rays * self.settings.replay) if len(self.replayed) else 0
        n_new = self.settings.rays - n_old
        n_news = min(round(NEWS_SHARE * n_new), len(self.news_pixels) // FEWEST_EACH)
        parts = []
        for purpose, pool, count in (("new", self.joint.pool, n_new - n_news), ("news", self.news_pixels, n_news),
                                     ("old", self.replayed, n_old)):
            if count:
                key = draws.stream(self.settings.seed, f"adapt {purpose}", self.steps)
                parts.append(pool[draws.below(key, torch.arange(count), len(pool))].long())
        pixels = torch.cat(parts)
        key = draws.stream(self.settings.seed, "adapt order", self.steps)
        return self.joint.batch_of(pixels[draws.uniform(key, torch.arange(len(pixels))).argsort(stable=True)])
