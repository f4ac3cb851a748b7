"""The line at the top of the page: what one sees at this moment, in plain words. Always says something."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.plain_words import duration, escaped


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
    stale: bool = False  # the picture belongs to an earlier camera or an earlier model
    waited_s: float = 0.0  # since a newer one was asked for
    memory_was_short: bool = False
    failure: str = ""  # why the last picture could not be made; foreign text
    missing: str = ""  # what this picture cannot show


RUNG_WORDS = {Quality.DRAFT: "coarse picture", Quality.FAST: "medium picture", Quality.FULL: "full quality"}
SLOW_S = 1.0


def status_line(now: Situation) -> str:
    """Markdown."""
    if now.failure:
        return f"🔴 **The picture could not be made:** {escaped(now.failure, 300)}. Move the view to try again."
    match now.model:
        case ModelState.NONE:
            why = escaped(now.model_words, 300) or "as soon as a training job has written one, it is shown"
            return f"⚪ **No model yet:** {why}. You see where the photos were taken."
        case ModelState.LOADING:
            return f"🟡 **Loading the model** {escaped(now.model_words, 200)}…"
        case ModelState.FAILED:
            return f"🔴 **The model could not be opened:** {escaped(now.model_words, 300)}"
    return " · ".join([_picture_words(now), *_notes(now)])


def _picture_words(now: Situation) -> str:
    if now.quality is None:
        return "🟡 **Making the first picture**…"
    if now.stale:
        late = f", {duration(now.waited_s)} late" if now.waited_s >= SLOW_S else ""
        return f"🟡 **Catching up**: this picture is of an earlier view{late}"
    if now.quality < now.last_rung:
        return f"🟡 **Getting sharper** ({RUNG_WORDS[now.quality]}{_took(now)})"
    return f"🟢 **{RUNG_WORDS[now.quality].capitalize()}**{_took(now)}"


def _took(now: Situation) -> str:
    return "" if now.took_s is None else f", made in {now.took_s:.1f} s"


def _notes(now: Situation) -> list[str]:
    notes = []
    if now.memory_was_short:
        notes.append("🟠 slower, because memory ran out")
    if now.missing:
        notes.append(f"🟠 {escaped(now.missing, 200)}")
    return notes
