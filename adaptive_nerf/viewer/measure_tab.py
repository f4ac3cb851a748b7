"""The tab *Measure*: click a place for its coordinates, or two for their distance; keep, name, delete, download."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum

import numpy as np
import viser

from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer import kept_measurements
from adaptive_nerf.viewer.measurements import (
    MOST_KEPT,
    Enu,
    Measurement,
    Measurements,
    heights_are,
    measurement_words,
    to_csv,
    to_geojson,
)
from adaptive_nerf.viewer.picker import survey_words
from adaptive_nerf.viewer.picking import Picked
from adaptive_nerf.viewer.plain_words import escaped, length
from adaptive_nerf.viewer.screen import Screen
from adaptive_nerf.viewer.witnesses import Witnesses, few_words

COLOUR = (255, 214, 10)
PATIENCE_S = 3.0
PIN_UNITS, POST_UNITS = 2.5, 1.2  # high enough to stand out of a rough surface
FIRST = "/measured/first"  # of a distance that is not whole yet
GO_ON = "Click the next one, or press *Off*."


class Tool(StrEnum):
    LOOK = "Off"
    POINT = "Point"
    DISTANCE = "Distance"


class MeasureTab:
    """Everything is in ENU metres until it is drawn or told. `job_id` names what the browser keeps; `finest` tells up
    to which rung pictures are made."""

    def __init__(self, client: viser.ClientHandle, screen: Screen, frame: SceneFrame, job_id: str,
                 finest: Callable[[], Quality], witnesses: Witnesses):
        self._client, self._screen, self._frame, self._finest = client, screen, frame, finest
        self._witnesses = witnesses
        self._key = kept_measurements.key_of(job_id, frame)
        self._knows_kept = False  # what the browser kept was read: before, it must not be written over
        self._lock = threading.RLock()
        self._book = Measurements()
        self._first: Picked | None = None  # of a distance: where it begins
        self._rows: list[viser.GuiFolderHandle] = []
        gui = client.gui
        tool = gui.add_button_group("Click for", tuple(Tool))
        tool.on_click(lambda _: self._choose(Tool(tool.value)))
        self._told = gui.add_markdown("")
        gui.add_markdown(f"Heights are {heights_are(frame)}.")
        self._list = gui.add_folder("Measured")
        with gui.add_folder("Download", expand_by_default=True):
            formats = gui.add_button_group("As", ("GeoJSON", "CSV"), hint="GeoJSON for maps, CSV for spreadsheets.")
            formats.on_click(lambda _: self._download(formats.value))
        self._tool = Tool.LOOK
        self._choose(Tool.LOOK)
        client.scene.on_click()(self._clicked)

    @property
    def is_on(self) -> bool:
        return self._tool is not Tool.LOOK

    def restore(self) -> None:
        """What this browser kept from before; asked again with the next measurement, where it is late."""
        with self._lock:
            if self._read_kept():
                self._redraw()

    def _read_kept(self) -> bool:
        """Put what was kept before what is measured meanwhile. False where there is nothing new."""
        try:
            text = self._client.local_storage.get_item(self._key, timeout=PATIENCE_S)
        except (TimeoutError, RuntimeError):  # the browser is late, keeps nothing, or has gone
            return False
        self._knows_kept = True
        kept = kept_measurements.from_text(text)
        self._book = kept.followed_by(self._book)
        return bool(kept.items)

    def _choose(self, tool: Tool) -> None:
        with self._lock:
            self._tool, self._first = tool, None
            self._client.scene.remove_by_name(FIRST)
            self._told.content = {
                Tool.LOOK: "Choose *Point* or *Distance*, then click in the picture.",
                Tool.POINT: "**Click a place in the picture** to read its coordinates.",
                Tool.DISTANCE: "**Click where the distance begins.**"}[tool]

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        if self._tool is Tool.LOOK:
            return
        self._screen.touched()
        picked = self._screen.pick(*event.screen_pos)
        with self._lock:
            if picked is None:
                self._told.content = "Nothing is there: click on the ground or on a building."
            elif self._book.is_full:
                self._told.content = f"**{MOST_KEPT} are measured**, and no more fit: download them, and delete some."
            else:
                self._take(picked)

    def _take(self, picked: Picked) -> None:
        here = _enu(picked)
        if self._tool is Tool.DISTANCE and self._first is None:
            self._first = picked
            self._told.content = "**Now click where it ends.**"
            self._draw_mark(FIRST, here)
            return
        if self._tool is Tool.DISTANCE and self._first is not None:
            ends = [self._first, picked]
            self._first = None
            self._add(self._book.with_distance(_enu(ends[0]), here, max(end.grain_m for end in ends), _by_survey(ends)))
        else:
            ends = [picked]
            self._add(self._book.with_point(here, picked.grain_m, _by_survey(ends)))
        item = self._book.items[-1]
        told = [f"**{escaped(item.name)}**: {escaped(measurement_words(item, self._frame), 400)}", self._doubts(ends),
                f"{_fineness(item, self._screen.quality, self._finest())} {GO_ON}"]
        self._told.content = "\n\n".join(filter(None, told))

    def _doubts(self, ends: list[Picked]) -> str:
        """Of the end that is known worst."""
        if survey_m := [end.survey_m for end in ends if end.survey_m is not None]:
            return survey_words(max(survey_m))
        return few_words(min(self._witnesses.count(end.enu_m) for end in ends))

    def _add(self, book: Measurements) -> None:
        """One more at the end: the others stay as they stand, however many there are."""
        self._book = book
        if self._keep():
            self._redraw()
            return
        self._client.scene.remove_by_name(FIRST)
        index = len(book.items) - 1
        with self._list:
            self._rows.append(self._add_row(index, book.items[index]))
        self._draw(index, book.items[index])

    def _change(self, book: Measurements) -> None:
        self._book = book
        self._keep()
        self._redraw()

    def _keep(self) -> bool:
        """True where what was kept before came to light only now."""
        came = not self._knows_kept and self._read_kept()
        if self._knows_kept:
            self._client.local_storage.set_item(self._key, kept_measurements.as_text(self._book))
        return came

    def _redraw(self) -> None:
        for row in self._rows:
            row.remove()
        self._client.scene.remove_by_name("/measured")
        self._rows = []
        with self._list:
            for index, item in enumerate(self._book.items):
                self._rows.append(self._add_row(index, item))
                self._draw(index, item)

    def _add_row(self, index: int, item: Measurement) -> viser.GuiFolderHandle:
        gui = self._client.gui
        row = gui.add_folder(None)
        with row:
            name = gui.add_text(item.kind.capitalize(), item.name, hint="Its name; change it as you like.")
            name.on_update(lambda _: self._rename(index, name.value))
            gui.add_markdown(escaped(measurement_words(item, self._frame), 400))
            gui.add_button_group("", ("Delete",)).on_click(lambda _: self._delete(index))
        return row

    def _rename(self, index: int, name: str) -> None:
        with self._lock:
            self._book = self._book.renamed(index, name)  # the row keeps the focus: it is not built anew
            if self._keep():
                self._redraw()
            else:
                self._draw(index, self._book.items[index])

    def _delete(self, index: int) -> None:
        with self._lock:
            self._change(self._book.without(index))

    def _draw(self, index: int, item: Measurement) -> None:
        name = f"/measured/{index}"
        if item.end_enu_m is None:
            self._draw_mark(name, item.start_enu_m, item.name)
            return
        start, end = (self._viewer_point(place) for place in (item.start_enu_m, item.end_enu_m))
        lines = fence(start, end)
        self._client.scene.add_line_segments(name, lines, COLOUR, thickness=3.0, thickness_units="screen")
        self._client.scene.add_label(f"{name}/name", f"{item.name}: {length(item.spans_m()[0])}",
                                     position=lines[2].mean(0), anchor="bottom-center")

    def _draw_mark(self, name: str, enu_m: Enu, text: str = "") -> None:
        """A pin that stands on the place."""
        top = np.array([0.0, 0.0, PIN_UNITS])
        self._client.scene.add_line_segments(name, np.stack([np.zeros(3), top])[None], COLOUR, thickness=4.0,
                                             thickness_units="screen", position=self._viewer_point(enu_m))
        if text:
            self._client.scene.add_label(f"{name}/name", text, position=top, anchor="bottom-center")

    def _viewer_point(self, enu_m: Enu) -> np.ndarray:
        return self._frame.convert(FrameName.ENU, FrameName.VIEWER).points(np.array(enu_m))

    def _download(self, kind: str) -> None:
        items = self._book.items
        if not items:
            self._told.content = "There is nothing to download yet: measure a point or a distance first."
            return
        name, text = ("measured.geojson", to_geojson(items, self._frame)) if kind == "GeoJSON" else \
            ("measured.csv", to_csv(items, self._frame))
        self._client.send_file_download(name, text.encode(), save_immediately=True)


def _enu(picked: Picked) -> Enu:
    east, north, up = picked.enu_m.tolist()
    return east, north, up


def _by_survey(ends: list[Picked]) -> bool:
    return any(end.survey_m is not None for end in ends)


def fence(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """A post on either place, and a line between their tops. [3, 2, 3]"""
    tops = [place + np.array([0.0, 0.0, POST_UNITS]) for place in (start, end)]
    return np.stack([np.stack(ends) for ends in ((start, tops[0]), (end, tops[1]), tuple(tops))])


def _fineness(item: Measurement, quality: Quality | None, finest: Quality) -> str:
    coarse = quality is not None and quality < finest
    told = f"One pixel of the picture is {length(item.grain_m)} there."
    return told + (" The picture was still coarse: click again when it is finished." if coarse else "")
