"""Progressive pictures of the newest view for one pair of eyes: coarse at once, then finer, never an older one.

No-Way-Back: once a picture of the k-th request is ready, fetched or not, nothing older is ever handed out, and for one
request and one model only better pictures follow. Every picture has a key (request, epoch of the model, quality); one
is taken only if its key is greater than that of the last one taken. All state lies under one lock: with two, an old
picture slips in between.

A newer request or a newer model gives up what is being rendered, within one chunk. The first rung of a request is
never given up, so a moving camera always gets pictures; that of a newer model yields to a newer request alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.rendering.types import Frame, Output, Quality, RenderCancelled, Renderer

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RenderRequest:
    """What is wanted. `settings`: whatever else the picture depends on, for instance which experts are shown."""

    camera: Camera
    outputs: frozenset[Output]
    best: Quality = Quality.FULL  # the last rung
    settings: Hashable = None

    def is_same(self, other: RenderRequest | None) -> bool:
        return other is not None and self._parts() == other._parts()

    def _parts(self) -> tuple[Hashable, ...]:
        camera = self.camera
        pose = np.asarray(camera.c2w, np.float64).tobytes()
        lens = (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, camera.projection)
        return (pose, camera.frame, camera.metres_per_unit, lens, camera.near_m, camera.far_m, self.outputs, self.best,
                self.settings)


Picture = TypeVar("Picture")  # a Frame, or several that are made together
Render = Callable[[RenderRequest, Quality, Callable[[], bool]], Picture]


class FrameKey(NamedTuple):
    """Compared from left to right."""

    seq: int  # the how many-th request
    epoch: int  # how often the model had changed
    quality: Quality


@dataclass(frozen=True)
class QueueStatus:
    accepted: int  # requests so far
    epoch: int  # changes of the model so far
    ready: FrameKey | None  # of the newest picture, fetched or not
    rendering: FrameKey | None
    best: Quality  # up to which rung the newest request is made
    error: str  # why the last picture could not be made; empty once one was made again
    took_s: float | None  # to make the newest picture
    waited_s: float  # since the newest request or model

    @property
    def stale(self) -> bool:
        """The newest picture is of an earlier request or model."""
        return self.ready is None or self.ready[:2] < (self.accepted, self.epoch)

    @property
    def done(self) -> bool:
        """Nothing better will come by itself."""
        return not self.stale and self.ready is not None and self.ready.quality >= self.best


@dataclass(frozen=True)
class _Series:
    """One climb of the ladder."""

    request: RenderRequest
    seq: int
    epoch: int
    first: Quality
    is_new_request: bool  # else only the model is newer

    def rungs(self) -> list[Quality]:
        return [quality for quality in Quality if self.first <= quality <= self.request.best]


class RenderQueue(Generic[Picture]):
    """One worker thread, from construction to `close`. `on_ready` is called from it, after a picture was taken."""

    def __init__(self, render: Render[Picture] | Renderer, on_ready: Callable[[], None] | None = None):
        self._render: Render[Picture] = render if callable(render) else _asking(render)  # type: ignore[assignment]
        self._on_ready = on_ready
        self._changed = threading.Condition()  # the one lock: everything below is read and written under it
        self._request: RenderRequest | None = None
        self._seq = self._epoch = 0
        self._begun = (0, 0)  # request and epoch of the newest series
        self._asked_at = time.monotonic()
        self._ready: FrameKey | None = None
        self._picture: Picture | None = None
        self._rendering: FrameKey | None = None
        self._took_s: float | None = None
        self._error = ""
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="render queue")
        self._worker.start()

    def update(self, request: RenderRequest) -> None:
        """From now on this is wanted. The same as before changes nothing."""
        with self._changed:
            if self._closed or request.is_same(self._request):
                return
            self._request, self._seq, self._asked_at = request, self._seq + 1, time.monotonic()
            self._changed.notify_all()

    def model_changed(self) -> None:
        """What was rendered so far shows an earlier model: render the newest request again."""
        with self._changed:
            self._epoch, self._asked_at = self._epoch + 1, time.monotonic()
            self._changed.notify_all()

    def publish(self, key: FrameKey, picture: Picture, took_s: float = 0.0) -> bool:
        """Take a finished picture, unless one with the same or a greater key was taken before."""
        with self._changed:
            if self._closed or (self._ready is not None and key <= self._ready):
                return False
            self._ready, self._picture, self._took_s, self._error = key, picture, took_s, ""
            return True

    def get(self) -> Picture | None:
        """The newest picture, once."""
        with self._changed:
            picture, self._picture = self._picture, None
            return picture

    def status(self) -> QueueStatus:
        with self._changed:
            best = self._request.best if self._request is not None else Quality.FULL
            return QueueStatus(self._seq, self._epoch, self._ready, self._rendering, best, self._error, self._took_s,
                               time.monotonic() - self._asked_at)

    def close(self) -> None:
        """Give up what is being rendered, within one chunk, and end the worker."""
        with self._changed:
            self._closed, self._picture = True, None
            self._changed.notify_all()
        if threading.current_thread() is not self._worker:
            self._worker.join()

    def _work(self) -> None:
        while (series := self._next_series()) is not None:
            try:
                self._climb(series)
            except RenderCancelled:
                pass
            except Exception as error:
                if self._is_news(error):
                    log.exception("a picture could not be made")
            with self._changed:
                self._rendering = None

    def _next_series(self) -> _Series | None:
        """The newest request, as soon as it or the model is newer than what was begun last; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (
                self._request is not None and (self._seq, self._epoch) > self._begun))
            if self._closed or self._request is None:
                return None
            is_new = self._seq > self._begun[0]
            self._begun = self._seq, self._epoch
            return _Series(self._request, *self._begun, self._first_rung(self._request, is_new), is_new)

    def _first_rung(self, request: RenderRequest, is_new: bool) -> Quality:
        """A still picture that was fine does not turn coarse at each step of an adapting model."""
        was_fine = self._ready is not None and self._ready.seq == self._seq and self._ready.quality >= Quality.FAST
        return min(request.best, Quality.FAST) if was_fine and not is_new else Quality.DRAFT

    def _climb(self, series: _Series) -> None:
        for quality in series.rungs():
            key = FrameKey(series.seq, series.epoch, quality)
            if self._given_up(series, quality):
                return
            with self._changed:
                self._rendering = key
            began = time.perf_counter()
            picture = self._render(series.request, quality, partial(self._given_up, series, quality))
            if self.publish(key, picture, time.perf_counter() - began) and self._on_ready is not None:
                self._on_ready()

    def _given_up(self, series: _Series, quality: Quality) -> bool:
        with self._changed:
            newer_request, newer_model = self._seq > series.seq, self._epoch > series.epoch
            if quality > series.first:
                return self._closed or newer_request or newer_model
            return self._closed or (newer_request and not series.is_new_request)

    def _is_news(self, error: Exception) -> bool:
        """Remember it."""
        told = f"{type(error).__name__}: {error}".strip(": ")
        with self._changed:
            is_news, self._error = told != self._error, told
        return is_news


def _asking(renderer: Renderer) -> Render[Frame]:
    def render(request: RenderRequest, quality: Quality, cancelled: Callable[[], bool]) -> Frame:
        return renderer.render(request.camera, request.outputs, quality, cancelled)

    return render
