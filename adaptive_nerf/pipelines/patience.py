"""What a training puts up with: a step without a number is skipped, want of memory makes the next steps smaller."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.memory import ran_out_of_memory
from adaptive_nerf.pipelines.joint import Joint
from adaptive_nerf.pipelines.rates import Rates

MOST_SKIPPED_IN_A_ROW = 20
FEWEST_SAMPLES = 2048
log = logging.getLogger(__name__)


@dataclass
class Patience:
    skipped: int = 0
    in_a_row: int = 0

    def look_at(self, loss: float, step: int, rates: Rates) -> None:
        if math.isfinite(loss):
            self.in_a_row = 0
            return
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= MOST_SKIPPED_IN_A_ROW:
            told = ", ".join(f"{name} {rate:.3g}" for name, rate in vars(rates).items())
            raise Failure(f"the loss was no number in {self.in_a_row} steps in a row, up to step {step}; "
                          f"lower the learning rates ({told})")

    def make_do_with_less(self, error: Exception, joint: Joint) -> None:
        """The step is left out, and later ones have half the samples. Anything but want of memory is raised again."""
        if not ran_out_of_memory(error) or joint.sampling.samples <= FEWEST_SAMPLES:
            raise error
        joint.forget_step()
        joint.sampling.samples //= 2
        self.skipped += 1
        log.warning("memory ran out at step %d; going on with %d samples a step", joint.step, joint.sampling.samples)
