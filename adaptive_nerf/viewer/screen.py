"""What stands behind everything in one person's window: the last frame, how it is shown, what it is compared with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import viser

from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.rendering.types import Frame, Quality
from adaptive_nerf.viewer.comparing import Comparison
from adaptive_nerf.viewer.composing import Look, composed, depth_in_window, overlay_depth, seen_at
from adaptive_nerf.viewer.display import Bytes
from adaptive_nerf.viewer.legends import Legend
from adaptive_nerf.viewer.picker import Picker
from adaptive_nerf.viewer.picking import Picked

JPEG_QUALITY = 88


class Screen:
    """`changed` is called, from any thread, when there is something new; one thread sends it with `send_if_changed`."""

    def __init__(self, api: viser.SceneApi, scene_frame: SceneFrame, picker: Picker, changed: Callable[[], None],
                 touched: Callable[[], None]):
        """`touched` is called when a person wants it otherwise, or clicks in it."""
        self._api, self._scene_frame, self._changed, self.touched = api, scene_frame, changed, touched
        self._picker, self.n_experts = picker, 1
        self._lock = threading.Lock()
        self._look = Look()
        self._frame: Frame | None = None
        self._other: Frame | None = None
        self._dirty = False
        self.legend: Legend | None = None
        self.missing = ""

    @property
    def frame(self) -> Frame | None:
        return self._frame

    @property
    def quality(self) -> Quality | None:
        """Of what stands in the window; None: there is none yet."""
        frame = self._frame
        return frame.quality if frame is not None else None

    @property
    def waits_for_other(self) -> bool:
        """What it is compared with is not there yet."""
        with self._lock:
            return self._look.comparison is not Comparison.OFF and self._frame is not None and self._other is None

    @property
    def look(self) -> Look:
        return self._look

    def take(self, frame: Frame, other: Frame | None = None) -> None:
        """`other`: what it is compared with, of the same view."""
        with self._lock:
            self._frame, self._other, self._dirty = frame, other, True
        self._changed()

    def set_look(self, **changes: object) -> None:
        with self._lock:
            self._look, self._dirty = replace(self._look, **changes), True  # type: ignore[arg-type]
        self.touched()
        self._changed()

    def set_display(self, **changes: object) -> None:
        with self._lock:
            settings = replace(self._look.settings, **changes)  # type: ignore[arg-type]
            self._look, self._dirty = replace(self._look, settings=settings), True
        self.touched()
        self._changed()

    def pick(self, u: float, v: float) -> Picked | None:
        with self._lock:
            frame, other, look = self._frame, self._other, self._look
        return self._picker.pick(seen_at(frame, other, look, u), u, v) if frame is not None else None

    def send_if_changed(self) -> bool:
        """Draw, where there is something new. True if a picture was sent."""
        with self._lock:
            frame, other, look, dirty = self._frame, self._other, self._look, self._dirty
            self._dirty = False
        if frame is None or not dirty:
            return False
        picture = composed(frame, other, look, self._scene_frame, self.n_experts)
        self.legend, self.missing = picture.legend, picture.missing
        units = self._scene_frame.units_to_metres(FrameName.VIEWER)
        self._api.set_background_image(picture.rgb, format="jpeg", jpeg_quality=JPEG_QUALITY,
                                       depth=overlay_depth(depth_in_window(frame, other, look), picture.hidden, units))
        return True

    def picture(self) -> Bytes | None:
        """As it stands in the window, without the overlays. [h, w, 3]"""
        with self._lock:
            frame, other, look = self._frame, self._other, self._look
        return composed(frame, other, look, self._scene_frame, self.n_experts).rgb if frame is not None else None
