"""The line at the top of the page: what one sees at this moment, in plain words. Always says something."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adaptive_nerf.common.durations import duration
from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.markup import Light, block, dot, safe


class ModelState(StrEnum):
    NONE = "none"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Situation:
    model: ModelState
    model_words: str = ""  # why there is none, or what is loaded; foreign text
    quality: Quality | None = None  # of the picture in the window; None: there is none yet
    took_s: float | None = None
    last_rung: Quality = Quality.FULL  # up to which it will be made finer
    stale: str = ""  # what the picture is of an earlier one of: "view" or "model"; empty: it is of this moment
    waited_s: float = 0.0  # since a newer one was asked for
    memory_was_short: bool = False
    failure: str = ""  # why the last picture could not be made; foreign text
    waits_for_other: bool = False  # one compares, and the other picture is not there yet
    missing: str = ""  # what this picture cannot show
    looked_at: str = ""  # another state of the model than the page's
    compared_with: str = ""  # what stands beside it
    notice: str = ""  # about the model; foreign text
    has_model: bool = False  # one is shown, while another is loaded or could not be


# Of the picture alone: a model that has learned little is blurred in the finest picture of it, too.
RUNG_WORDS = {Quality.DRAFT: "coarse picture", Quality.FAST: "medium picture", Quality.FULL: "finished picture"}
SLOW_S, LEAST_TOLD_S = 1.0, 0.1


def status_html(now: Situation) -> str:
    return block("<br>".join([_main_line(now), *_notes(now)]))


def _main_line(now: Situation) -> str:
    if now.failure:
        return _line(Light.BAD, "The picture could not be made:",
                     f"{safe(now.failure, 300)}. Move the view to try again.")
    if now.has_model:
        return _picture_line(now)
    match now.model:
        case ModelState.NONE:
            why = safe(now.model_words, 300) or "as soon as a training job has written one, it is shown"
            return _line(Light.OFF, "No model yet:", f"{why}. You see where the photos were taken.")
        case ModelState.LOADING:
            return _line(Light.CARE, "Loading the model", f"{safe(now.model_words)}…")
        case ModelState.FAILED:
            return _line(Light.BAD, "The model could not be opened:", safe(now.model_words, 300))
    return _picture_line(now)


def _picture_line(now: Situation) -> str:
    if now.quality is None:
        return _line(Light.CARE, "Making the first picture…")
    if now.waits_for_other:
        return _line(Light.CARE, "Waiting for the other picture", "to compare with; you see the model alone")
    if now.stale:
        late = f", {duration(now.waited_s)} late" if now.waited_s >= SLOW_S else ""
        return _line(Light.CARE, "Catching up:", f"this picture is of an earlier {now.stale}{late}")
    if now.quality < now.last_rung:
        return _line(Light.CARE, "Getting finer…", f"{RUNG_WORDS[now.quality]}{_took(now)}")
    return _line(Light.GOOD, RUNG_WORDS[now.quality].capitalize(), _took(now).removeprefix(", "))


def _took(now: Situation) -> str:
    if now.took_s is None:
        return ""
    return f", made in {now.took_s:.1f} s" if now.took_s >= LEAST_TOLD_S else f", made in less than {LEAST_TOLD_S:g} s"


def _notes(now: Situation) -> list[str]:
    notes = []
    if now.has_model and now.model is ModelState.LOADING:
        notes.append(_line(Light.BUSY, "Loading a newer model", f"{safe(now.model_words)}…"))
    if now.has_model and now.model is ModelState.FAILED:
        notes.append(_line(Light.CARE, "A newer model could not be opened:", safe(now.model_words, 300)))
    if now.looked_at:
        notes.append(_line(Light.BUSY, "You look at:", f"{safe(now.looked_at)}; not this page's model"))
    if now.compared_with:
        notes.append(_line(Light.BUSY, "Compared with:", f"{safe(now.compared_with)} (tab Compare)"))
    if now.notice:
        notes.append(_line(Light.CARE, "", safe(now.notice, 300)))
    if now.memory_was_short:
        notes.append(_line(Light.CARE, "Slower,", "because memory ran out"))
    if now.missing:
        notes.append(_line(Light.CARE, "", safe(now.missing)))
    return notes


def _line(light: Light, strong: str, words: str = "") -> str:
    return f"{dot(light)} <b>{strong}</b> {words}"
