"""Measurements as text that a browser keeps for its person, and read back with care: anything may stand there."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.viewer.measurements import LONGEST_NAME, MOST_KEPT, Enu, Measurement, Measurements
from adaptive_nerf.viewer.plain_words import one_line

FORMAT_VERSION = 1
KEEPING = "adaptive-nerf-measurements-"
LONGEST_TEXT = 1 << 18
FARTHEST_M = 1e7
MOST_MADE = 10**6


def key_of(job_id: str, frame: SceneFrame) -> str:
    """What the browser keeps them under. A job of the same name on another server, behind the same address, has its own
    scene as a rule: its points are none of this one's."""
    scene = repr((frame.origin_drb_m, frame.metres_per_unit, frame.enu_reference))
    return f"{KEEPING}{job_id}-{hashlib.sha256(scene.encode()).hexdigest()[:12]}"


def as_text(measurements: Measurements) -> str:
    items = [[item.name, item.start_enu_m, item.end_enu_m, item.grain_m, item.by_survey] for item in measurements.items]
    return json.dumps({"format_version": FORMAT_VERSION, "items": items,
                       "made": [measurements.points_made, measurements.distances_made]})


def from_text(text: str | None) -> Measurements:
    """What can be read; nothing, where the text is not ours."""
    try:
        value = json.loads(text or "") if len(text or "") <= LONGEST_TEXT else None
    except (ValueError, RecursionError):
        return Measurements()
    if not isinstance(value, dict) or value.get("format_version") != FORMAT_VERSION:
        return Measurements()
    listed, made = value.get("items"), value.get("made")
    found = [_item(one) for one in (listed if isinstance(listed, list) else [])[:MOST_KEPT]]
    items = tuple(item for item in found if item is not None)
    points, distances = (len(items) if number is None else number for number in _made(made))
    return Measurements(items, points, distances)


def _made(value: Any) -> tuple[int | None, int | None]:
    """Points, distances; older pages counted both together. None where it is not told."""
    pair = value if isinstance(value, list) and len(value) == 2 else [value, value]
    points, distances = (number if type(number) is int and 0 <= number < MOST_MADE else None for number in pair)
    return points, distances


def _item(value: Any) -> Measurement | None:
    match value:
        case [str(name), start, end, int() | float() as grain_m, *rest] if math.isfinite(grain_m):
            first, second = _enu(start), _enu(end)
            if first is not None and (end is None or second is not None):
                return Measurement(one_line(name, LONGEST_NAME) or "unnamed", first, second, max(0.0, float(grain_m)),
                                   rest == [True])
    return None


def _enu(value: Any) -> Enu | None:
    match value:
        case [int() | float() as east, int() | float() as north, int() | float() as up]:
            if all(abs(metres) <= FARTHEST_M for metres in (east, north, up)):  # false for NaN
                return float(east), float(north), float(up)
    return None
