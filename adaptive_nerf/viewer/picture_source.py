"""The pictures of one person: of the model, and of the state that it is compared with, both of one view and quality."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from adaptive_nerf.common.errors import AdaptiveNerfError, Failure
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.rendering.render_queue import QueueStatus, RenderQueue, RenderRequest
from adaptive_nerf.rendering.types import Frame, Output, Quality
from adaptive_nerf.viewer.backend import Backend, SoloRenderer
from adaptive_nerf.viewer.screen import Screen

EVERY_CHANNEL = frozenset(Output)  # so that another display mode needs no new picture
NOW = "This page's model"  # that all people share, with what it is learning
RENDER_ERRORS = (AdaptiveNerfError, OSError, MemoryError, RuntimeError)


class Pair(NamedTuple):
    """Made in one go: were each from a queue of its own, a moving camera would bring two views together, and a coarse
    picture beside a sharp one looks like a change."""

    frame: Frame
    other: Frame | None  # what it is compared with


@dataclass(frozen=True)
class Wanted:
    expert: int | None = None  # that one alone
    shown: SoloRenderer | None = None  # None: this page's model
    other: SoloRenderer | None = None  # the same
    compares: bool = False


class PictureSource:
    """`ready` is called from the queue's thread when there is something to fetch."""

    def __init__(self, backend: Backend, screen: Screen, ready: Callable[[], None]):
        self._backend, self._screen = backend, screen
        self._lock = threading.Lock()  # of what is wanted
        self._wanted = Wanted()
        self._request: RenderRequest | None = None
        self._of_model, self._of_other = Remembered(), Remembered()
        self._queue: RenderQueue[Pair] = RenderQueue(self._render, ready)

    def _render(self, request: RenderRequest, quality: Quality, cancelled: Callable[[], bool]) -> Pair:
        now, wanted = self._backend.model().renderer, request.settings
        if now is None or not isinstance(wanted, Wanted):
            raise Failure("the model has gone")
        frame = self._of_model.frame(wanted.shown or now, wanted.expert, request, quality, cancelled)
        if not wanted.compares:
            return Pair(frame, None)
        try:
            return Pair(frame, self._of_other.frame(wanted.other or now, wanted.expert, request, quality, cancelled))
        except RENDER_ERRORS as error:
            raise Failure(f"what it is compared with: {error}") from error

    def want(self, camera: Camera, best: Quality, expert: int | None = None) -> None:
        """`expert`: that one alone."""
        with self._lock:
            self._wanted = replace(self._wanted, expert=expert)
            self._request = RenderRequest(camera, EVERY_CHANNEL, best, self._wanted)
            self._queue.update(self._request)

    def model_changed(self) -> None:
        self._queue.model_changed()

    def look_at(self, state: str | None) -> None:
        """None: at this page's model. May take seconds. AdaptiveNerfError where that state cannot be opened."""
        self._want_also(shown=self._renderer_of(state))

    def compare_with(self, state: str | None) -> None:
        """None: no comparison. As long, and the same errors."""
        self._want_also(other=self._renderer_of(state), compares=state is not None)

    def _renderer_of(self, state: str | None) -> SoloRenderer | None:
        return None if state in (None, NOW) else self._backend.renderer_of(state)

    def _want_also(self, **changes: object) -> None:
        with self._lock:
            self._wanted = replace(self._wanted, **changes)  # type: ignore[arg-type]
            if self._request is not None:
                self._request = replace(self._request, settings=self._wanted)
                self._queue.update(self._request)

    def fetch(self) -> None:
        """Hand what is ready to the screen."""
        pair = self._queue.get()
        if pair is not None:
            self._screen.take(pair.frame, pair.other)

    def status(self) -> QueueStatus:
        return self._queue.status()

    @property
    def memory_was_short(self) -> bool:
        """For either of the pictures."""
        return self._of_model.memory_was_short or (self._wanted.compares and self._of_other.memory_was_short)

    def close(self) -> None:
        self._queue.close()


class Remembered:
    """Of the view that was asked for last, no picture is made twice, whatever changes beside it. For one thread."""

    def __init__(self) -> None:
        self._renderer: SoloRenderer | None = None
        self._expert: int | None = None
        self._camera: Camera | None = None
        self._seen: SoloRenderer | None = None  # the renderer, or one expert alone of it
        self._frames: dict[Quality, Frame] = {}

    @property
    def memory_was_short(self) -> bool:
        seen = self._seen
        return seen is not None and seen.memory_was_short

    def frame(self, renderer: SoloRenderer, expert: int | None, request: RenderRequest, quality: Quality,
              cancelled: Callable[[], bool]) -> Frame:
        if renderer is not self._renderer or expert != self._expert or self._seen is None:
            self._renderer, self._expert, self._frames = renderer, expert, {}
            self._seen = renderer if expert is None else renderer.only([expert])
        if request.camera is not self._camera:
            self._camera, self._frames = request.camera, {}
        if quality not in self._frames:
            self._frames[quality] = self._seen.render(request.camera, request.outputs, quality, cancelled)
        return self._frames[quality]
