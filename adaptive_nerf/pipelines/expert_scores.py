"""How good each expert is: the errors of the pixels in which it weighs most, pooled over all photos."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptive_nerf.pipelines.eval_records import ExpertRecord
from adaptive_nerf.pipelines.metrics import Picture, Truth, decibels, fitted_on_left, right_half


@dataclass
class _Sum:
    squared: float = 0.0
    pixels: int = 0

    def add(self, squared: npt.NDArray[np.floating[Any]]) -> None:  # [n] mean over channels
        self.squared += float(squared.sum())
        self.pixels += squared.size

    def join(self, other: _Sum) -> None:
        self.squared += other.squared
        self.pixels += other.pixels

    def psnr_db(self) -> float | None:
        return decibels(self.squared / self.pixels) if self.pixels else None


@dataclass
class _Expert:
    neutral: _Sum = field(default_factory=_Sum)
    fitted: _Sum = field(default_factory=_Sum)
    photos: int = 0


class ExpertScores:
    def __init__(self) -> None:
        self._experts: dict[int, _Expert] = {}

    def add(self, rgb: Picture, truth: Truth, expert_id: npt.NDArray[np.integer[Any]]) -> None:
        """One photo; `expert_id` [h, w] is -1 where no expert has a say."""
        seen = np.clip(np.nan_to_num(np.asarray(rgb, np.float64), nan=0.0), 0, 1)
        real = np.asarray(truth.rgb, np.float64)
        fitted, right = fitted_on_left(seen, real, truth.valid), right_half(real.shape[1])
        for expert in np.unique(expert_id[truth.valid]).tolist():
            if expert < 0:
                continue
            own, sums = truth.valid & (expert_id == expert), self._experts.setdefault(expert, _Expert())
            sums.neutral.add(((seen - real)[own] ** 2).mean(-1))
            sums.photos += 1
            if fitted is not None:
                sums.fitted.add(((fitted - real)[:, right][own[:, right]] ** 2).mean(-1))

    def join(self, other: ExpertScores) -> None:
        """With the photos of the other ones too."""
        for expert, theirs in other._experts.items():
            ours = self._experts.setdefault(expert, _Expert())
            ours.neutral.join(theirs.neutral)
            ours.fitted.join(theirs.fitted)
            ours.photos += theirs.photos

    def records(self, tto: int) -> tuple[ExpertRecord, ...]:
        """By expert."""
        return tuple(ExpertRecord(expert, tto, sums.photos, sums.neutral.pixels, sums.neutral.psnr_db() or 0.0,
                                  sums.fitted.psnr_db())
                     for expert, sums in sorted(self._experts.items()))
