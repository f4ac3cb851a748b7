"""How far a training is: counted in steps of this job, or in seconds; the joint phase first, then meta-learning."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from adaptive_nerf.jobs.spec import Train


@dataclass
class Plan:
    """`done` steps and `before_s` seconds were spent by earlier attempts of this job."""

    steps: int
    seconds: float  # 0: steps count
    joint_share: float
    done: int = 0
    before_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @classmethod
    def of_job(cls, spec: Train, done: int, before_s: float) -> Plan:
        share = 1.0 if spec.algo == "joint" else spec.warmup_joint
        return cls(spec.outer_steps, spec.seconds, share, done, before_s)

    @property
    def elapsed_s(self) -> float:
        return self.before_s + self.clock() - self.began

    @property
    def progress(self) -> float:
        """0 to 1."""
        if self.seconds:
            return min(1.0, self.elapsed_s / self.seconds)
        return min(1.0, self.done / self.steps) if self.steps else 1.0

    @property
    def finished(self) -> bool:
        return self.progress >= 1

    @property
    def is_joint(self) -> bool:
        return self.progress < self.joint_share
