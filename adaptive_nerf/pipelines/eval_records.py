"""What an evaluation found, as plain values: for the report, for metrics.csv and per_image.csv, and as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from adaptive_nerf.common import atomic_files
from adaptive_nerf.pipelines.lpips_score import NOT_COMPUTED, TOO_SMALL
from adaptive_nerf.pipelines.metrics import DepthError, PhotoScore, PictureScore

FORMAT_VERSION = 1
Protocol = Literal["held_out", "same_images"]
CSV_DIGITS = 5


@dataclass(frozen=True)
class TtoRecord:
    """All scored photos after so many steps of adaptation."""

    tto: int
    adapt_s: float  # a batch of photos, mean
    photos: int
    mean: PhotoScore
    set_up_s: float = 0.0  # of adapt_s, before the first step


@dataclass(frozen=True)
class PhotoRecord:
    """One photo after so many steps."""

    name: str
    stem: str
    tto: int
    score: PhotoScore


@dataclass(frozen=True)
class ExpertRecord:
    """The pixels of all scored photos in which this expert weighs most, pooled."""

    expert: int
    tto: int
    photos: int
    pixels: int
    neutral_db: float
    fitted_db: float | None  # over those in right halves; None where there is none


@dataclass(frozen=True)
class ForgettingRecord:
    """Old photos that nobody adapted on, before and after adapting to new ones."""

    tto: int
    photos: int
    before: PhotoScore
    after: PhotoScore
    unchanged_pixels_only: bool  # truth says where nothing changed
    trained_on: bool = False  # the base has learned these photos; otherwise they are its val photos


@dataclass(frozen=True)
class ChangeRecord:
    """The pixels of all scored photos in which the event changed what is seen, and the others, each pooled."""

    tto: int
    photos: int  # with a changed pixel
    changed_share: float
    changed_neutral_db: float
    changed_fitted_db: float | None
    unchanged_neutral_db: float | None
    unchanged_fitted_db: float | None


@dataclass(frozen=True)
class Evaluation:
    job_id: str
    protocol: Protocol
    scene: str
    batch: str  # a later flight, or empty: the val photos
    checkpoint: str
    made_at: str  # ISO time
    machine: str  # processor or accelerator, in words
    photo_size: tuple[int, int]  # width, height as scored
    photos_adapted: int
    ttos: tuple[TtoRecord, ...]  # ascending
    photos: tuple[PhotoRecord, ...]
    batches: int = 1  # of photos, each adapted on from the base
    experts: tuple[ExpertRecord, ...] = ()
    forgetting: tuple[ForgettingRecord, ...] = ()
    changes: tuple[ChangeRecord, ...] = ()  # where truth is known
    lpips: str = NOT_COMPUTED  # or where its weights came from
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)  # what else the figures depend on, in words
    learned_before: tuple[str, ...] = ()  # stems of scored photos that the checkpoint had learned

    @property
    def known(self) -> int:
        """How many of the scored photos the checkpoint had learned."""
        return len({record.stem for record in self.photos} & set(self.learned_before))

    @property
    def why_no_lpips(self) -> str:
        """Of a score that has none."""
        return TOO_SMALL if self.lpips != NOT_COMPUTED else NOT_COMPUTED

    @property
    def first(self) -> TtoRecord:
        return self.ttos[0]

    @property
    def last(self) -> TtoRecord:
        return self.ttos[-1]

    def to_json(self) -> dict[str, Any]:
        return {"format_version": FORMAT_VERSION, **asdict(self)}


def write_metrics_csv(path: Path, evaluation: Evaluation) -> None:
    """One row for every number of steps."""
    _write(path, [{"tto": record.tto, "adapt_s": record.adapt_s, "photos": record.photos,
                   **figures(record.mean, evaluation.why_no_lpips)} for record in evaluation.ttos])


def write_per_image_csv(path: Path, evaluation: Evaluation) -> None:
    """One row for every photo and number of steps."""
    _write(path, [{"photo": record.name, "id": record.stem, "tto": record.tto,
                   **figures(record.score, evaluation.why_no_lpips)} for record in evaluation.photos])


def figures(score: PhotoScore, why_no_lpips: str) -> dict[str, float | str]:
    """Every figure by its own name; empty where there is none, but for LPIPS."""
    told: dict[str, float | str] = {}
    for colour in ("neutral", "fitted", "own", "constant"):
        told |= {f"{colour}_{name}": value for name, value in _parts(PictureScore, getattr(score, colour))}
    told |= {"lpips": why_no_lpips if score.lpips is None else score.lpips}
    told |= {f"depth_{name}": value for name, value in _parts(DepthError, score.depth)}
    return told | {"valid_share": score.valid_share, "pixels_without_number": score.pixels_without_number}


def _parts(kind: type[PictureScore | DepthError], value: PictureScore | DepthError | None) -> Iterable[tuple[str, Any]]:
    for name in kind.__dataclass_fields__:
        number = None if value is None else getattr(value, name)
        yield name, "" if number is None else number


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    if rows:
        table.writerow(rows[0])
    for row in rows:
        table.writerow([round(value, CSV_DIGITS) if isinstance(value, float) else value for value in row.values()])
    atomic_files.write_text(path, buffer.getvalue())
