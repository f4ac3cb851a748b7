"""Points and distances that a person has measured: kept in order, renamed, deleted, told as GeoJSON and CSV.

Positions are ENU metres of the scene. Where it is geo-referenced they are told as WGS84 latitude, longitude and
ellipsoidal height too; else as local metres, and named so.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.viewer.plain_words import length, one_line

Enu = tuple[float, float, float]
LONGEST_NAME, MOST_KEPT = 60, 500
NUMBERED = re.compile(r"(Point|Distance) \d+")
LOCAL_NOTE = "local metres east, north, up of the scene's own origin; not latitude and longitude"
LOCAL_ZERO = "metres above the origin of the survey's own coordinates, which need not lie on the ground"
WGS84_ZERO = "metres above the WGS84 ellipsoid, as GPS tells them; not above the sea"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what follows
COLUMNS = ("name", "kind", "latitude_deg", "longitude_deg", "ellipsoidal_height_m", "east_m", "north_m", "up_m",
           "to_latitude_deg", "to_longitude_deg", "to_ellipsoidal_height_m", "to_east_m", "to_north_m", "to_up_m",
           "distance_m", "horizontal_m", "height_difference_m", "picture_grain_m", "heights_are", "up_m_is",
           "ground_by_survey")


@dataclass(frozen=True)
class Measurement:
    name: str
    start_enu_m: Enu
    end_enu_m: Enu | None = None  # of a distance
    grain_m: float = 0.0  # one pixel of the picture it was read from, at that place
    by_survey: bool = False  # an end is the survey's ground, where hardly any photo looks

    @property
    def kind(self) -> str:
        return "point" if self.end_enu_m is None else "distance"

    def spans_m(self) -> tuple[float, float, float]:
        """In space, on the map, and up (end less start) as it is up at the scene's reference point."""
        east, north, up = np.subtract(self.end_enu_m or self.start_enu_m, self.start_enu_m).tolist()
        return math.hypot(east, north, up), math.hypot(east, north), up


@dataclass(frozen=True)
class Measurements:
    items: tuple[Measurement, ...] = ()
    points_made: int = 0  # so that no name comes twice
    distances_made: int = 0

    def with_point(self, enu_m: Enu, grain_m: float, by_survey: bool = False) -> Measurements:
        number = self.points_made + 1
        return replace(self._with(Measurement(f"Point {number}", enu_m, None, grain_m, by_survey)), points_made=number)

    def with_distance(self, start_enu_m: Enu, end_enu_m: Enu, grain_m: float, by_survey: bool = False) -> Measurements:
        number = self.distances_made + 1
        return replace(self._with(Measurement(f"Distance {number}", start_enu_m, end_enu_m, grain_m, by_survey)),
                       distances_made=number)

    def _with(self, item: Measurement) -> Measurements:
        return replace(self, items=(*self.items, item))

    def followed_by(self, later: Measurements) -> Measurements:
        """Those of `later` after these, numbered anew; names that a person gave stay."""
        book = self
        for item in later.items:
            book = book.with_point(item.start_enu_m, item.grain_m, item.by_survey) if item.end_enu_m is None else \
                book.with_distance(item.start_enu_m, item.end_enu_m, item.grain_m, item.by_survey)
            if not NUMBERED.fullmatch(item.name):
                book = book.renamed(len(book.items) - 1, item.name)
        return book

    @property
    def is_full(self) -> bool:
        return len(self.items) >= MOST_KEPT

    def renamed(self, index: int, name: str) -> Measurements:
        name = one_line(name, LONGEST_NAME)
        if not name or not 0 <= index < len(self.items):
            return self
        items = list(self.items)
        items[index] = replace(items[index], name=name)
        return replace(self, items=tuple(items))

    def without(self, index: int) -> Measurements:
        return replace(self, items=self.items[:index] + self.items[index + 1:]) if index >= 0 else self


def position_words(enu_m: Enu, frame: SceneFrame) -> str:
    if not frame.is_georeferenced:
        east, north, up = enu_m
        return f"{east:.2f} m east, {north:.2f} m north, {up:.2f} m up (local)"
    lat_deg, lon_deg, height_m = _geodetic(enu_m, frame)
    return f"{lat_deg:.7f}°, {lon_deg:.7f}°, {height_m:.2f} m above the ellipsoid"


def heights_are(frame: SceneFrame) -> str:
    """What a height counts from."""
    return WGS84_ZERO if frame.is_georeferenced else LOCAL_ZERO


def up_is(frame: SceneFrame) -> str:
    """What the third local coordinate counts from."""
    if frame.enu_reference is None:
        return LOCAL_ZERO
    return f"metres above the scene's reference point, itself {frame.enu_reference[2]:.3f} m above the WGS84 ellipsoid"


def told_spans_m(item: Measurement, frame: SceneFrame) -> tuple[float, float, float]:
    """In space, on the map, and the difference of the heights that are told: the Earth is round, so that up is another
    direction at the far end."""
    distance_m, horizontal_m, rise_m = item.spans_m()
    if frame.is_georeferenced and item.end_enu_m is not None:
        rise_m = _geodetic(item.end_enu_m, frame)[2] - _geodetic(item.start_enu_m, frame)[2]
    return distance_m, horizontal_m, rise_m


def measurement_words(item: Measurement, frame: SceneFrame) -> str:
    if item.end_enu_m is None:
        return position_words(item.start_enu_m, frame)
    distance_m, horizontal_m, rise_m = told_spans_m(item, frame)
    return f"{length(distance_m)} ({length(horizontal_m)} on the map, {_signed(rise_m)} in height)"


def to_geojson(items: tuple[Measurement, ...], frame: SceneFrame) -> str:
    """Longitude, latitude, height, as GeoJSON has it; local metres, named as such, where there is no geo-reference."""
    collection: dict[str, Any] = {"type": "FeatureCollection", "heights_are": heights_are(frame)}
    if not frame.is_georeferenced:
        collection["coordinate_system"] = LOCAL_NOTE
    collection["features"] = [_feature(item, frame) for item in items]
    return json.dumps(collection, indent=2, ensure_ascii=False) + "\n"


def _feature(item: Measurement, frame: SceneFrame) -> dict[str, Any]:
    properties: dict[str, Any] = {"name": item.name, "kind": item.kind, "picture_grain_m": round(item.grain_m, 3),
                                  "heights_are": heights_are(frame), "ground_by_survey": item.by_survey}
    ends = [_coordinates(end, frame) for end in (item.start_enu_m, item.end_enu_m) if end is not None]
    if item.end_enu_m is not None:
        properties |= dict(zip(("distance_m", "horizontal_m", "height_difference_m"),
                               (round(span, 3) for span in told_spans_m(item, frame)), strict=True))
    if not frame.is_georeferenced:
        properties["coordinate_system"] = LOCAL_NOTE
    geometry = {"type": "LineString", "coordinates": ends} if len(ends) == 2 else \
        {"type": "Point", "coordinates": ends[0]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def to_csv(items: tuple[Measurement, ...], frame: SceneFrame) -> str:
    """One line a measurement; columns that do not apply are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for item in items:
        writer.writerow([_harmless(item.name), item.kind, *_row(item, frame), f"{item.grain_m:.3f}",
                         heights_are(frame), up_is(frame), "yes" if item.by_survey else ""])
    return text.getvalue()


def _row(item: Measurement, frame: SceneFrame) -> Iterator[str]:
    for end in (item.start_enu_m, item.end_enu_m):
        if end is None:
            yield from [""] * 6
            continue
        yield from _geodetic_cells(end, frame)
        yield from (f"{metres:.3f}" for metres in end)
    yield from (f"{span:.3f}" for span in told_spans_m(item, frame)) if item.end_enu_m else [""] * 3


def _geodetic_cells(enu_m: Enu, frame: SceneFrame) -> tuple[str, str, str]:
    if not frame.is_georeferenced:
        return "", "", ""
    lat_deg, lon_deg, height_m = _geodetic(enu_m, frame)
    return f"{lat_deg:.8f}", f"{lon_deg:.8f}", f"{height_m:.3f}"


def _harmless(name: str) -> str:
    return f"'{name}" if name.lstrip().startswith(FORMULA_STARTS) or name.startswith(FORMULA_STARTS) else name


def _coordinates(enu_m: Enu, frame: SceneFrame) -> list[float]:
    if not frame.is_georeferenced:
        return [round(metres, 3) for metres in enu_m]
    lat_deg, lon_deg, height_m = _geodetic(enu_m, frame)
    return [round(lon_deg, 8), round(lat_deg, 8), round(height_m, 3)]


def _geodetic(enu_m: Enu, frame: SceneFrame) -> list[float]:
    return frame.geodetic_from(FrameName.ENU, np.array(enu_m)).tolist()


def _signed(metres: float) -> str:
    return ("+" if metres >= 0 else "−") + length(abs(metres))
