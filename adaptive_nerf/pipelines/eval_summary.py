"""From what was found, batch by batch, to the records that a report shows and the numbers of result.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from adaptive_nerf.pipelines.eval_records import ChangeRecord, Evaluation, ExpertRecord, ForgettingRecord, TtoRecord
from adaptive_nerf.pipelines.expert_scores import ExpertScores
from adaptive_nerf.pipelines.judging import CHANGED, UNCHANGED, Verdict
from adaptive_nerf.pipelines.metrics import PhotoScore, mean_score


@dataclass
class Findings:
    before: list[PhotoScore] = field(default_factory=list)  # of the watched old photos
    batches: list[list[Verdict]] = field(default_factory=list)  # one verdict for each number of steps, ascending
    adapted: list[int] = field(default_factory=list)  # photos of each batch
    unchanged_only: bool = False  # old photos were scored where nothing changed
    trained_on: bool = False  # they are train photos, or were learned later

    def by_steps(self) -> list[list[Verdict]]:
        """Verdicts of all batches for each number of steps, so that all means are over the same photos: a batch that
        was cut short counts only where there is no other.
        """
        return [list(same) for same in zip(*self._whole(), strict=True)]

    def photos_adapted(self) -> int:
        return sum(self.adapted[:len(self._whole())])

    def _whole(self) -> list[list[Verdict]]:
        most = max(map(len, self.batches), default=0)
        return [verdicts for verdicts in self.batches if len(verdicts) == most]


def with_findings(about: Evaluation, findings: Findings) -> Evaluation | None:
    """`about` tells what is evaluated. None where nothing was scored."""
    steps = findings.by_steps()
    ttos = [record for verdicts in steps if (record := _tto(verdicts))]
    if not ttos:
        return None
    return replace(
        about, ttos=tuple(ttos), batches=len(steps[0]), photos_adapted=findings.photos_adapted(),
        photos=tuple(record for verdicts in steps for verdict in verdicts for record in verdict.photos),
        experts=tuple(record for verdicts in steps
                      for record in _joined(verdict.experts for verdict in verdicts).records(verdicts[0].tto)),
        forgetting=tuple(record for verdicts in steps if (record := _forgetting(verdicts, findings))),
        changes=tuple(record for verdicts in steps if (record := _change(verdicts))))


def metrics_of(evaluation: Evaluation) -> dict[str, float]:
    """Flat: <figure>_<steps>. Forgetting is after minus before: below nought is something lost."""
    told: dict[str, float | None] = {"photos_scored": evaluation.last.photos,
                                     "photos_adapted": evaluation.photos_adapted}
    for record in evaluation.ttos:
        tto, mean = record.tto, record.mean
        for look, score in (("neutral", mean.neutral), ("fitted", mean.fitted), ("own", mean.own)):
            if score is not None:
                told |= {f"{look}_db_{tto}": score.psnr_db, f"{look}_linear_db_{tto}": score.psnr_linear_db,
                         f"{look}_ssim_{tto}": score.ssim}
        told |= {f"seconds_{tto}": record.adapt_s, f"steps_s_{tto}": record.adapt_s - record.set_up_s,
                 f"lpips_{tto}": mean.lpips,
                 f"depth_median_m_{tto}": mean.depth.median_m if mean.depth else None}
    for old in evaluation.forgetting:
        told[f"forgetting_neutral_db_{old.tto}"] = old.after.neutral.psnr_db - old.before.neutral.psnr_db
        if old.after.fitted and old.before.fitted:
            told[f"forgetting_fitted_db_{old.tto}"] = old.after.fitted.psnr_db - old.before.fitted.psnr_db
    for change in evaluation.changes:
        told |= {f"{name}_{change.tto}": getattr(change, name) for name in (
            "changed_neutral_db", "changed_fitted_db", "unchanged_neutral_db", "unchanged_fitted_db")}
    return {name: float(value) for name, value in told.items() if value is not None}


def in_words(record: TtoRecord) -> str:
    """One line for the log: both figures, neither without the other."""
    fitted = f"{record.mean.fitted.psnr_db:.2f}" if record.mean.fitted else "none"
    return (f"after {record.tto} steps ({record.adapt_s:.2f} s): neutral {record.mean.neutral.psnr_db:.2f} dB, fitted "
            f"{fitted} dB, over {record.photos} photos")


def _tto(verdicts: Sequence[Verdict]) -> TtoRecord | None:
    scores = [record.score for verdict in verdicts for record in verdict.photos]
    mean = mean_score(scores)
    if mean is None:
        return None
    adapt_s, set_up_s = (float(np.mean([getattr(verdict, name) for verdict in verdicts]))
                         for name in ("adapt_s", "set_up_s"))
    return TtoRecord(verdicts[0].tto, adapt_s, len(scores), mean, set_up_s)


def _joined(parts: Iterable[ExpertScores]) -> ExpertScores:
    whole = ExpertScores()
    for part in parts:
        whole.join(part)
    return whole


def _forgetting(verdicts: Sequence[Verdict], findings: Findings) -> ForgettingRecord | None:
    """Mean over batches of what absorbing each did to the same old photos."""
    before, after = mean_score(findings.before), mean_score(score for verdict in verdicts for score in verdict.old)
    if before is None or after is None or verdicts[0].tto == 0:
        return None
    return ForgettingRecord(verdicts[0].tto, len(findings.before), before, after, findings.unchanged_only,
                            findings.trained_on)


def _change(verdicts: Sequence[Verdict]) -> ChangeRecord | None:
    regions: dict[int, ExpertRecord] = {record.expert: record for record in _joined(
        verdict.changes for verdict in verdicts).records(verdicts[0].tto)}
    changed, other = regions.get(CHANGED), regions.get(UNCHANGED)
    if changed is None:
        return None
    share = changed.pixels / (changed.pixels + (other.pixels if other else 0))
    return ChangeRecord(verdicts[0].tto, changed.photos, share, changed.neutral_db, changed.fitted_db,
                        other.neutral_db if other else None, other.fitted_db if other else None)
