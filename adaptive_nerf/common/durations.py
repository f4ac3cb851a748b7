"""A time span in the words of a person, for the terminal and the page alike."""

from __future__ import annotations

import math

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def duration(seconds: float | None) -> str:
    """42 s, 90 s, 5 min, 2 h 05 min, 3 d 4 h: as much as a glance needs; nothing for None."""
    if seconds is None:
        return ""
    if not math.isfinite(seconds):
        return "unknown"
    whole = max(0, round(seconds))
    if whole < 2 * MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S:02d} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"
