"""report.html: what an evaluation found, on one page that carries all it shows. For a stranger, a phone, a printer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from adaptive_nerf.common import atomic_files
from adaptive_nerf.pipelines import html_parts as parts
from adaptive_nerf.pipelines.curve_svg import Line, chart
from adaptive_nerf.pipelines.eval_records import Evaluation, ExpertRecord, PhotoRecord, TtoRecord
from adaptive_nerf.pipelines.html_parts import ABSENT, Cell, change, number
from adaptive_nerf.pipelines.metrics import PhotoScore
from adaptive_nerf.pipelines.pictures import ERROR_SCALE

NEUTRAL, FITTED, OWN = "#0b6bcb", "#b4560a", "#6b3fa0"
RAMP_STOPS = 9
PROTOCOLS = {
    "held_out": ("Held out: the model was adapted on some photos, and scored on others that it was not adapted on "
                 "(every fourth). This says how well it shows views that it has not seen."),
    "same_images": ("Same images: the model was scored on the very photos that it was adapted on, as the earlier "
                    "system did. This says how well it takes photos in, not how well it shows other views."),
}
WORDS = (
    ("Neutral", "The picture as the model renders it. A photo that was exposed brighter or darker than most loses "
                "points for that alone. This is the headline figure."),
    ("Fitted", "The same picture after its brightness and contrast, channel by channel, were fitted to the photo on "
               "the left half; scored on the right half only. It says more about shapes. Neither replaces the other."),
    ("Own look", "The picture in the exposure that the model has learned of this very photo: what the earlier system's "
                 "figures compare with. Known only of photos that were adapted on."),
    ("PSNR", "The error of a pixel, on average, in decibels: 6 dB more is half the error. In sRGB it is taken on the "
             "values that a screen shows, in linear light on the light itself; do not compare the two."),
    ("SSIM", "How alike small neighbourhoods look; 1 is the same."),
    ("Not scored", "Black borders that undistortion left in the photos."),
)

FIGURES = (("PSNR in sRGB, dB", "psnr_db", 2), ("PSNR in linear light, dB", "psnr_linear_db", 2),
           ("SSIM in sRGB", "ssim", 3), ("SSIM in linear light", "ssim_linear", 3))


@dataclass(frozen=True)
class Strip:
    """The pictures of one photo, as PNG or JPEG; `before` and `after` the first and the last number of steps."""

    truth: bytes
    before: bytes
    after: bytes
    error: bytes  # of `after`
    depth: bytes | None = None  # of `after`, with its bar


def write_report(path: Path, evaluation: Evaluation, strips: Mapping[str, Strip]) -> None:
    """`strips` by the photo's stem; photos without one are in the tables alone."""
    atomic_files.write_text(path, report(evaluation, strips))


def report(evaluation: Evaluation, strips: Mapping[str, Strip]) -> str:
    where = f"flight {evaluation.batch}" if evaluation.batch else "validation photos"
    body = [parts.heading(evaluation.job_id, 1),
            parts.paragraph(f"How well the model shows the {where} of {evaluation.scene}", "soft"),
            *_tiles(evaluation), *[parts.paragraph(text, "warning") for text in _warnings(evaluation)],
            parts.heading("Scores", 2), parts.paragraph(_protocol(evaluation)),
            _headline(evaluation), parts.definitions(_words(evaluation)),
            parts.heading("How fast it learns", 3), _curve(evaluation), *_changes(evaluation), *_depth(evaluation),
            *_experts(evaluation), *_forgetting(evaluation), *_photos(evaluation, strips),
            parts.heading("How this was made", 2), _origin(evaluation)]
    return parts.page(f"{evaluation.job_id}: evaluation", body)


def _protocol(evaluation: Evaluation) -> str:
    """In words; photos that the checkpoint knew are not held out, whatever was asked for."""
    if evaluation.protocol != "held_out" or not evaluation.known:
        return PROTOCOLS[evaluation.protocol]
    return (f"Not held out: the model was scored on photos that were left out of this adaptation (every fourth), but "
            f"the checkpoint had learned {evaluation.known} of these {evaluation.last.photos} before. This says how "
            f"well it keeps photos, not how well it shows views that it has not seen.")


def _tiles(evaluation: Evaluation) -> list[str]:
    first, last = evaluation.first, evaluation.last
    tiles = []
    for colour in ("neutral", "fitted"):
        before, after = getattr(first.mean, colour), getattr(last.mean, colour)
        if before is not None and after is not None:
            note = f"{_steps(last.tto)}; {_steps(first.tto)}: {number(before.psnr_db, 1)} dB"
            tiles.append(parts.tile(f"{colour.capitalize()}, PSNR", f"{number(after.psnr_db, 1)} dB",
                                    note if last is not first else _steps(last.tto), colour))
    each = f", mean of {evaluation.batches} batches" if evaluation.batches > 1 else ""
    photos = round(evaluation.photos_adapted / evaluation.batches)
    tiles.append(parts.tile("Adaptation", f"{number(last.adapt_s, 1)} s", f"{last.tto} steps on {photos} photos{each}",
                            "soft"))
    if last.mean.depth is not None and last.mean.depth.median_m is not None:
        tiles.append(parts.tile("Depth error, median", f"{number(last.mean.depth.median_m)} m",
                                "against the true surface", "soft"))
    return ['<div class="tiles">', *tiles, "</div>"]


def _steps(tto: int) -> str:
    return f"after {tto} steps" if tto else "before adapting"


def _warnings(evaluation: Evaluation) -> list[str]:
    broken = sum(record.score.pixels_without_number for record in evaluation.photos)
    told = [f"{broken} rendered pixels were no numbers; they count as black."] if broken else []
    return [*evaluation.warnings, *told]


def _words(evaluation: Evaluation) -> list[tuple[str, str]]:
    return [entry for entry in WORDS if entry[0] != "Own look" or "own" in _looks(evaluation)]


def _looks(evaluation: Evaluation) -> tuple[str, ...]:
    """How colours are treated, by the names of PhotoScore."""
    return ("neutral", "fitted", "own") if evaluation.last.mean.own is not None else ("neutral", "fitted")


def _headline(evaluation: Evaluation) -> str:
    looks = _looks(evaluation)
    with_lpips = any(record.mean.lpips is not None for record in evaluation.ttos)
    last_head = [("LPIPS", 1)] if with_lpips else []
    heads = [[("", 1), ("", 1), *[(name, len(looks)) for name, _, _ in FIGURES], *[("", 1) for _ in last_head]],
             [("Steps", 1), ("Seconds", 1), *[(look, 1) for _ in FIGURES for look in looks], *last_head]]
    rows = [("", [Cell(str(record.tto)), Cell(number(record.adapt_s)), *_score_cells(record.mean, looks),
                  *[Cell(number(record.mean.lpips, 3)) for _ in last_head]]) for record in evaluation.ttos]
    plain = evaluation.first.mean.constant
    if plain is not None:
        values = [cell for _, name, digits in FIGURES for cell in (
            Cell(number(getattr(plain, name), digits)), *[Cell(ABSENT)] * (len(looks) - 1))]
        rows.append(("base", [Cell("one colour"), Cell(ABSENT), *values, *[Cell(ABSENT) for _ in last_head]]))
    better = "More is better, but for LPIPS less" if with_lpips else "More is better"
    caption = (f"Mean over {evaluation.last.photos} photos; each number of steps begins anew from the same model. "
               f"{better}. Seconds: adapting to one batch of photos, {number(evaluation.last.set_up_s)} s of them "
               f"before the first step. One colour: a picture of nothing but the training photos' mean colour. "
               f"LPIPS: {evaluation.lpips if with_lpips else evaluation.why_no_lpips}.")
    return parts.table(caption, heads, rows)


def _score_cells(mean: PhotoScore, looks: Sequence[str]) -> list[Cell]:
    """Each look for each figure; the headline stands out."""
    cells = []
    for _, name, digits in FIGURES:
        for look in looks:
            score = getattr(mean, look)
            cells.append(Cell(number(getattr(score, name), digits) if score else ABSENT,
                              "mark" if (name, look) == ("psnr_db", "neutral") else ""))
    return cells


def _curve(evaluation: Evaluation) -> str:
    records = evaluation.ttos
    labels = [f"{record.tto} steps" if record.tto else "start" for record in records]
    lines = [Line("fitted", FITTED, _points(records, "fitted")),
             Line("own look", OWN, _points(records, "own"), dashed=True),
             Line("neutral", NEUTRAL, _points(records, "neutral"), labels)]
    return chart(lines, "seconds of adaptation", "PSNR, dB (sRGB)")


def _points(records: Sequence[TtoRecord], colour: str) -> list[tuple[float, float]]:
    known = [(record.adapt_s, getattr(record.mean, colour)) for record in records]
    return [(seconds, score.psnr_db) for seconds, score in known if score is not None]


def _depth(evaluation: Evaluation) -> list[str]:
    rows = [("", [Cell(str(record.tto)), Cell(number(record.mean.depth.median_m)),
                  Cell(number(record.mean.depth.mean_abs_m)), Cell(number(record.mean.depth.p95_m)),
                  Cell(f"{100 * record.mean.depth.missing_share:.1f} %")])
            for record in evaluation.ttos if record.mean.depth is not None]
    caption = ("How far the rendered surface lies from the true one, along the camera's axis; mean over the photos. "
               "'No depth' is the share of true surface where the model shows none.")
    heads = [[(name, 1) for name in ("Steps", "Median, m", "Mean, m", "95 % are within, m", "No depth")]]
    return [parts.heading("Depth error", 2), parts.table(caption, heads, rows)] if rows else []


def _experts(evaluation: Evaluation) -> list[str]:
    first = {record.expert: record for record in evaluation.experts if record.tto == evaluation.first.tto}
    last = {record.expert: record for record in evaluation.experts if record.tto == evaluation.last.tto}
    both = [(first[expert], last[expert]) for expert in sorted(first.keys() & last.keys())]
    if not both:
        return []
    heads = [[("", 1), ("", 1), ("", 1), ("Neutral, dB", 3), ("Fitted, dB", 3)],
             [(name, 1) for name in ("Expert", "Photos", "Pixels", *["before", "after", "change"] * 2)]]
    rows = [("", _expert_cells(before, after)) for before, after in both]
    caption = ("Each expert by the pixels in which it weighs most, pooled over the photos (so not the mean of photos "
               "above). An expert far below the others has had too few photos or too little time.")
    return [parts.heading("Experts", 2), parts.table(caption, heads, rows)]


def _expert_cells(before: ExpertRecord, after: ExpertRecord) -> list[Cell]:
    pairs = (before.neutral_db, after.neutral_db), (before.fitted_db, after.fitted_db)
    return [Cell(str(after.expert)), Cell(str(after.photos)), Cell(f"{after.pixels:,}"),
            *[cell for old, new in pairs for cell in (Cell(number(old)), Cell(number(new)), change(old, new))]]


def _changes(evaluation: Evaluation) -> list[str]:
    """What commanders ask first: does it show what is new, and keep what is not?"""
    if not evaluation.changes:
        return []
    rows = [("", [Cell(str(record.tto)), *[Cell(number(value)) for value in (
        record.changed_neutral_db, record.changed_fitted_db, record.unchanged_neutral_db, record.unchanged_fitted_db)]])
            for record in evaluation.changes]
    heads = [[("", 1), ("Where something changed, dB", 2), ("Elsewhere, dB", 2)],
             [("Steps", 1), *[(look, 1) for _ in range(2) for look in ("neutral", "fitted")]]]
    first = evaluation.changes[0]
    caption = (f"PSNR of the scored photos, pooled over pixels. The truth tells which of them the event changed: "
               f"{100 * first.changed_share:.1f} %, in {first.photos} photos.")
    return [parts.heading("What the event changed", 2), parts.table(caption, heads, rows)]


def _forgetting(evaluation: Evaluation) -> list[str]:
    if not evaluation.forgetting:
        return []
    rows = []
    for record in evaluation.forgetting:
        before, after = record.before, record.after
        rows.append(("", [Cell(str(record.tto)), Cell(str(record.photos)), Cell(number(before.neutral.psnr_db)),
                          Cell(number(after.neutral.psnr_db)), change(before.neutral.psnr_db, after.neutral.psnr_db),
                          *_fitted_change(before, after)]))
    heads = [[("", 1), ("", 1), ("Neutral, dB", 3), ("Fitted, dB", 3)],
             [(name, 1) for name in ("Steps", "Old photos", *["before", "after", "change"] * 2)]]
    return [parts.heading("Forgetting", 2), parts.table(_old_photos(evaluation), heads, rows)]


def _old_photos(evaluation: Evaluation) -> str:
    record = evaluation.forgetting[0]
    kind = "photos that the model was trained on" if record.trained_on else "validation photos of the first flight"
    told = (f"Old photos ({kind}), before and after the model took in the new ones; a loss is something forgotten. "
            f"None of them was adapted on or replayed here. ")
    if record.unchanged_pixels_only:
        return told + "Only pixels in which nothing changed between the flights are scored."
    return told + ("Real changes on the ground count as losses here." if evaluation.batch else "")


def _fitted_change(before: PhotoScore, after: PhotoScore) -> list[Cell]:
    if before.fitted is None or after.fitted is None:
        return [Cell(ABSENT)] * 3
    return [Cell(number(before.fitted.psnr_db)), Cell(number(after.fitted.psnr_db)),
            change(before.fitted.psnr_db, after.fitted.psnr_db)]


def _photos(evaluation: Evaluation, strips: Mapping[str, Strip]) -> list[str]:
    by_tto = {(record.stem, record.tto): record for record in evaluation.photos}
    finals = sorted((record for record in evaluation.photos if record.tto == evaluation.last.tto),
                    key=lambda record: record.score.neutral.psnr_db)
    cards = [_photo(by_tto[after.stem, evaluation.first.tto], after, strips[after.stem])
             for after in finals if after.stem in strips]
    if not cards:
        return []
    return [parts.heading("Photos, the worst first", 2),
            parts.paragraph("Error maps show how far each pixel's colour is from the photo's. Grey is not scored: "
                            "black borders left by undistortion." + _missing(len(finals), len(cards))), _ramp(), *cards]


def _missing(photos: int, shown: int) -> str:
    return f" {shown} of {photos} photos are shown here; the others lie beside this page." if shown < photos else ""


def _photo(before: PhotoRecord, after: PhotoRecord, strip: Strip) -> str:
    name = after.name
    pictures = [parts.figure(strip.truth, "the photo", f"{name}, the photo"),
                parts.figure(strip.before, _caption(before), f"{name}, rendered {_steps(before.tto)}"),
                parts.figure(strip.after, _caption(after), f"{name}, rendered {_steps(after.tto)}"),
                parts.figure(strip.error, f"error {_steps(after.tto)}", f"{name}, error map")]
    if strip.depth is not None:
        pictures.append(parts.figure(strip.depth, f"depth {_steps(after.tto)}", f"{name}, depth map"))
    if before is after:
        del pictures[1]
    return (f'<section class="photo">{parts.heading(name, 3)}<div class="strip" style="--pictures: {len(pictures)}">'
            f'{"".join(pictures)}</div></section>')


def _caption(record: PhotoRecord) -> str:
    fitted = record.score.fitted
    return (f"{_steps(record.tto)}: neutral {number(record.score.neutral.psnr_db, 1)} dB, "
            f"fitted {number(fitted.psnr_db if fitted else None, 1)} dB, SSIM {number(record.score.neutral.ssim)}")


def _ramp() -> str:
    colours = matplotlib.colormaps[ERROR_SCALE.colours](np.linspace(0, 1, RAMP_STOPS), bytes=True)[:, :3]
    stops = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours.tolist())
    return (f'<div class="ramp"><div style="background: linear-gradient(to right, {stops})"></div>'
            f"<span><i>no error</i><i>{100 * ERROR_SCALE.high:.0f} % of full brightness, or more</i></span></div>")


def _origin(evaluation: Evaluation) -> str:
    width, height = evaluation.photo_size
    return parts.definitions([
        ("Checkpoint", evaluation.checkpoint), ("Scene", evaluation.scene),
        ("Flight", evaluation.batch or "validation photos"), ("Photos", f"{evaluation.last.photos} scored, "
         f"{evaluation.photos_adapted} adapted on, at {width} x {height} pixels"),
        ("Machine", evaluation.machine), ("Made", evaluation.made_at), *evaluation.settings.items()])
