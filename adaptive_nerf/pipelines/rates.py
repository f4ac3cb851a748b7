"""Learning rates: one for each group of parameters, and how they change over a run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from adaptive_nerf.jobs.spec import Adapt, Eval, Train

WARM_UP_STEPS = 50
HELD_SHARE = 0.2  # of a run, before the rates begin to decay
PULL, PULLED_SHARE = 6e-3, 2 / 3  # of depths towards far, in the first part of a run: then photos alone say where
PULLED_STEPS = 1700  # at most: it takes away fog in that time, and later it eats roofs whose middle has no texture


@dataclass(frozen=True)
class Rates:
    tables: float
    trunks: float
    heads: float
    background: float
    appearance: float

    def scaled(self, factor: float) -> Rates:
        return Rates(*(rate * factor for rate in vars(self).values()))


# Of what lies spread along a ray, once it is known about where surfaces are: the longer a run, the more haze before its
# cameras explains what is left of the photos' differences, and the pull is over by then.
GATHER, GATHERED_FROM = 2e-3, 1000  # steps
# Of long runs. Networks at ten times this rate are ahead for two minutes, and fall behind for good: after 13,500 steps
# on a real flight by 1 dB and 0.06 of SSIM, however soon the rate falls. A run that is known to be short may hurry.
TRAINING = Rates(3e-2, 2e-3, 2e-3, 2e-3, 1e-3)
FASTEST, WAY = 2e-2, 24.0  # of networks; their rate times the steps of a run
STEPS_A_SECOND = 25.0  # on two cores, where a run is bounded by time
# Tables are what tells places apart: only there can something new come without changing all else.
ADAPTING = Rates(7.5e-3, 5e-5, 0.0, 0.0, 1e-2)
# A model that was hardly trained has more to learn from new photos than to lose.
SETTLED_AFTER_STEPS, TABLES_OF_YOUNG, TRUNKS_OF_YOUNG = 2000, 3.0, 60.0


def rates_of(spec: Train | Adapt | Eval, base_steps: float = math.inf) -> Rates:
    """Of a job: a group that is not given follows from `lr`; where nothing at all is given, the recipe.

    `base_steps`: how long what is adapted was trained.
    """
    recipe = _for_a_run_of(spec.seconds * STEPS_A_SECOND or spec.outer_steps) if isinstance(spec, Train) \
        else for_a_base_of(base_steps)
    if not isinstance(spec, Eval) and spec.appearance_lr is not None:
        recipe = replace(recipe, appearance=spec.appearance_lr)
    given = {"tables": (spec.encoding_lr, 100), "trunks": (spec.sigma_lr, 20), "heads": (spec.color_lr, 20),
             "background": (spec.bg_lr, 10)}
    chosen = {}
    for group, (rate, factor) in given.items():
        if rate is not None:
            chosen[group] = rate
        elif spec.lr is not None:
            chosen[group] = spec.lr * factor
    if not isinstance(spec, Train):  # what experts share never changes when a flight is absorbed
        chosen |= {"heads": 0.0, "background": 0.0}
    return replace(recipe, **chosen)


def _for_a_run_of(steps: float) -> Rates:
    rate = min(FASTEST, max(TRAINING.trunks, WAY / max(steps, 1.0)))
    return replace(TRAINING, trunks=rate, heads=rate, background=rate)


def for_a_base_of(steps: float) -> Rates:
    young = max(1.0, (SETTLED_AFTER_STEPS / max(steps, 1.0)) ** 2)
    return replace(ADAPTING, tables=ADAPTING.tables * min(young, TABLES_OF_YOUNG),
                   trunks=ADAPTING.trunks * min(young, TRUNKS_OF_YOUNG))


def pull(progress: float, step: int) -> float:
    """How much of depths is added to the loss at a share of a whole run, and at its step of this number; see Joint."""
    return PULL * max(0.0, 1 - max(progress / PULLED_SHARE, step / PULLED_STEPS))


def gather(step: int) -> float:
    """How much of the spread along rays is added to the loss at the step of this number; see Joint."""
    return GATHER if step >= GATHERED_FROM else 0.0


@dataclass(frozen=True)
class Schedule:
    """A short warm-up, then the full rates for a while, then a decay to `last`."""

    kind: str = "exponential"  # cosine, constant
    last: float = 0.03
    warm_up: int = WARM_UP_STEPS

    def factor(self, step: int, progress: float) -> float:
        """Of the step with this number (from 0), at a share of the whole run."""
        return min(1.0, (step + 1) / self.warm_up) * self._decay(progress)

    def _decay(self, progress: float) -> float:
        along = min(1.0, max(0.0, (progress - HELD_SHARE) / (1 - HELD_SHARE)))
        if self.kind == "constant":
            return 1.0
        if self.kind == "cosine":
            return self.last + (1 - self.last) * (1 + _cosine(along)) / 2
        return self.last**along


def _cosine(along: float) -> float:
    return math.cos(math.pi * along)
