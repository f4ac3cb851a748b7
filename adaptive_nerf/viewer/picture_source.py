"""The pictures of one person: of the model, and of the state that it is compared with, each from a queue of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.rendering.render_queue import QueueStatus, RenderQueue, RenderRequest
from adaptive_nerf.rendering.types import Frame, Output, Quality
from adaptive_nerf.viewer.backend import Backend, SoloRenderer
from adaptive_nerf.viewer.screen import Screen

EVERY_CHANNEL = frozenset(Output)  # so that another display mode needs no new picture


class PictureSource:
    """`ready` is called from a queue's thread when there is something to fetch."""

    def __init__(self, backend: Backend, screen: Screen, ready: Callable[[], None]):
        self._backend, self._screen, self._ready = backend, screen, ready
        self._lock = threading.Lock()  # of the other queue
        self._solos = Solos()
        self._queue = RenderQueue(self._render, ready)
        self._other: RenderQueue | None = None
        self._request: RenderRequest | None = None
        self._closed = False

    def _render(self, request: RenderRequest, quality: Quality, cancelled: Callable[[], bool]) -> Frame:
        renderer = self._backend.model().renderer
        if renderer is None:
            raise Failure("the model has gone")
        seen = self._solos.of(renderer, request.settings)
        return seen.render(request.camera, request.outputs, quality, cancelled)

    def want(self, camera: Camera, best: Quality, expert: int | None = None) -> None:
        """`expert`: that one alone."""
        self._request = RenderRequest(camera, EVERY_CHANNEL, best, expert)
        self._queue.update(self._request)
        with self._lock:
            if self._other is not None:
                self._other.update(self._request)

    def model_changed(self) -> None:
        self._queue.model_changed()

    def compare_with(self, state: str | None) -> None:
        """May take seconds. AdaptiveNerfError where that state cannot be opened."""
        renderer = self._backend.renderer_of(state) if state is not None else None
        with self._lock:
            former, self._other = self._other, None
        if former is not None:
            former.close()
        self._screen.take_other(None)
        if renderer is None:
            return
        with self._lock:
            if not self._closed:
                self._other = RenderQueue(partial(_render_other, renderer, Solos()), self._ready)
                if self._request is not None:
                    self._other.update(self._request)

    def fetch(self) -> None:
        """Hand what is ready to the screen."""
        frame = self._queue.get()
        if frame is not None:
            self._screen.take(frame)
        with self._lock:
            other = self._other.get() if self._other is not None else None
        if other is not None:
            self._screen.take_other(other)

    def status(self) -> QueueStatus:
        """Of both pictures, told as one."""
        with self._lock:
            other = self._other.status() if self._other is not None else None
        main = self._queue.status()
        return main if other is None else told_as_one(main, other)

    def close(self) -> None:
        with self._lock:
            self._closed, other, self._other = True, self._other, None
        self._queue.close()
        if other is not None:
            other.close()


def told_as_one(main: QueueStatus, other: QueueStatus) -> QueueStatus:
    """The failure of either, and the slower one's times."""
    error = main.error or (f"what it is compared with: {other.error}" if other.error else "")
    took_s = max((took for took in (main.took_s, other.took_s) if took is not None), default=None)
    return replace(main, error=error, took_s=took_s)


class Solos:
    """One expert alone, of the renderer that was asked last: made once for all rungs. For one thread."""

    def __init__(self) -> None:
        self._last: tuple[SoloRenderer, Hashable, SoloRenderer] | None = None

    def of(self, renderer: SoloRenderer, expert: Hashable) -> SoloRenderer:
        if not isinstance(expert, int):
            return renderer
        if self._last is None or self._last[0] is not renderer or self._last[1] != expert:
            self._last = renderer, expert, renderer.only([expert])
        return self._last[2]


def _render_other(renderer: SoloRenderer, solos: Solos, request: RenderRequest, quality: Quality,
                  cancelled: Callable[[], bool]) -> Frame:
    return solos.of(renderer, request.settings).render(request.camera, request.outputs, quality, cancelled)
