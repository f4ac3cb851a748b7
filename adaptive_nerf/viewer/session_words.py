"""What the tab *Session* tells: who looks, how long it goes on, and when to warn that it ends."""

from __future__ import annotations

from dataclasses import dataclass

from adaptive_nerf.common.durations import duration
from adaptive_nerf.viewer.backend import AdaptationStatus
from adaptive_nerf.viewer.markup import Light, block, dot, safe
from adaptive_nerf.viewer.plain_words import counted

WARN_AT_S = (600.0, 300.0, 60.0)


@dataclass(frozen=True)
class SessionFacts:
    job_id: str
    people: int
    open_s: float
    idle_s: float  # since anybody moved the view or pressed anything
    left_s: float | None  # None: no time limit


def session_html(facts: SessionFacts) -> str:
    if facts.left_s is None:
        limit = f"{dot(Light.GOOD)} no time limit; it stays open until somebody ends it"
    else:
        light = Light.BAD if facts.left_s < WARN_AT_S[-1] else Light.CARE if facts.left_s < WARN_AT_S[0] else Light.GOOD
        limit = f"{dot(light)} ends in <b>{duration(facts.left_s)}</b>"
    people = "you alone" if facts.people == 1 else counted(facts.people, "person").replace("persons", "people")
    return block(f"Job <b>{safe(facts.job_id, 80)}</b><br>{limit}<br>Open for {duration(facts.open_s)}, {people} "
                 f"looking<br>Last touched {duration(facts.idle_s)} ago")


def saved_html(now: AdaptationStatus) -> str:
    """What became of the last button that writes or learns; empty while one is at work, and before the first."""
    if now.busy:
        return ""
    if now.error:
        return block(f"{dot(Light.BAD)} {safe(now.error, 400)}")
    return block(f"{dot(Light.GOOD)} Saved in {safe(now.saved, 200)}") if now.saved else ""


def due_warning(left_s: float | None, warned: frozenset[float]) -> float | None:
    """The threshold that has been passed and not been told yet; None if there is nothing to say."""
    if left_s is None:
        return None
    passed = [limit_s for limit_s in WARN_AT_S if left_s <= limit_s]
    return passed[-1] if passed and passed[-1] not in warned else None
