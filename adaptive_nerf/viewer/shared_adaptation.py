"""The one adaptation of a session, shared by all who look: one person holds it at a time, everybody sees it.

A thread of its own does everything that takes long, one thing after the other; whoever presses a button gets an answer
at once, a refusal in plain words too. Whoever begins holds it until it is kept, reset or undone, or until they leave.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from adaptive_nerf.common.errors import AdaptiveNerfError, BadInput
from adaptive_nerf.viewer.backend import AdaptationStatus, Backend, LiveAdaptation

SHOW_EVERY_S, LEARN_PER_LOOK = 2.0, 3.0  # looks at the changed model cost the time of steps: learning gets most of it
LONGEST_CURVE = 400
KEEPING, GOING_BACK = "keeping it", "going back"
WRITE_ERRORS = (AdaptiveNerfError, OSError, MemoryError, RuntimeError)
log = logging.getLogger(__name__)


class NotNow(BadInput):
    """A button that cannot be pressed at this moment, and why."""


class SharedAdaptation:
    def __init__(self, backend: Backend):
        self._backend = backend
        self._changed = threading.Condition()  # guards everything below
        self._told = AdaptationStatus()
        self._live: LiveAdaptation | None = None
        self._task: Callable[[], None] | None = None
        self._shown_at, self._unshown = 0.0, False
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="adaptation")
        self._worker.start()

    def status(self) -> AdaptationStatus:
        with self._changed:
            return self._told

    def start(self, who: str, flight: str, steps: int) -> None:
        """Begin, or go on after a pause. `steps` in all; when they are done already, so many more."""
        with self._changed:
            self._check_holder(who)
            told = self._told
            if steps < 1:
                raise NotNow("give at least one step")
            if told.busy in (KEEPING, GOING_BACK):  # what was begun is about to go
                self._require_leisure()
            if self._live is not None and told.flight == flight:
                self._tell(started_by=who, of=steps if steps > told.steps else told.steps + steps, running=True,
                           error="")
                return
            if told.changed:
                raise NotNow(f"keep or reset what was learned from {told.flight} first")
            self._do("reading the photos", lambda: self._begin(flight))
            self._tell(started_by=who, flight=flight, of=steps, steps=0, curve=(), error="", running=True)

    def pause(self, who: str) -> None:
        with self._changed:
            self._check_holder(who)
            self._tell(running=False)

    def step(self, who: str, flight: str) -> None:
        """One step, then pause."""
        with self._changed:
            begun = self._live is not None and self._told.flight == flight
            if self._told.running:
                raise NotNow("it is running; pause it first")
            done = self._told.steps if begun else 0
        self.start(who, flight, done + 1)

    def reset(self, who: str) -> None:
        with self._changed:
            self._settle(who, GOING_BACK, self._reset)

    def keep(self, who: str) -> None:
        with self._changed:
            if not self._told.changed:
                raise NotNow("nothing was learned yet that could be kept")
            self._settle(who, KEEPING, self._keep)

    def undo(self, who: str) -> None:
        """Take back what was kept last."""
        with self._changed:
            if self._told.changed:
                raise NotNow("reset takes back what was not kept yet")
            if not self._told.can_undo:
                raise NotNow("nothing was kept that could be undone")
            self._settle(who, GOING_BACK, self._undo)

    def save(self) -> None:
        """Write the model that is shown as a checkpoint; anybody may."""
        with self._changed:
            self._do("saving a checkpoint", self._save)

    def left(self, who: str) -> None:
        """Somebody closed the page: what they held is free for others, and stands still."""
        with self._changed:
            if self._told.started_by == who:
                self._tell(started_by="", running=False)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.join()

    def _check_holder(self, who: str) -> None:
        holder = self._told.started_by
        if holder not in ("", who):
            raise NotNow(f"{holder} is adapting to {self._told.flight}; wait until they keep, reset or leave it")

    def _tell(self, **news: object) -> None:
        self._told = replace(self._told, **news)  # type: ignore[arg-type]
        self._changed.notify_all()

    def _require_leisure(self) -> None:
        if self._task is not None or self._told.busy:
            raise NotNow(f"busy with {self._told.busy or 'something else'}; wait a moment")

    def _do(self, what: str, task: Callable[[], None]) -> None:
        self._require_leisure()
        self._task = task
        self._tell(busy=what)

    def _settle(self, who: str, what: str, task: Callable[[], None]) -> None:
        self._check_holder(who)
        self._do(what, task)
        self._tell(running=False)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except Exception as error:
                if isinstance(error, AdaptiveNerfError):
                    log.warning("the adaptation stopped: %s", error)
                else:
                    log.exception("the adaptation failed")
                with self._changed:
                    # Nobody holds what is not there.
                    kept = {"flight": "", "started_by": ""} if self._live is None else {}
                    self._tell(error=str(error) or type(error).__name__, running=False, **kept)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._task is not None or self._unshown or (
                self._told.running and self._live is not None))
            if self._closed:
                return None
            if self._task is None:
                return self._step if self._told.running else self._show
            task, self._task = self._task, None

        def done() -> None:
            try:
                task()
            finally:
                with self._changed:
                    self._tell(busy="")

        return done

    def _begin(self, flight: str) -> None:
        self._live = None
        live = self._backend.begin_adaptation(flight)
        with self._changed:
            self._live = live

    def _step(self) -> None:
        live = self._live
        if live is None:
            return
        taken = live.step()
        with self._changed:
            self._unshown = True
            steps = self._told.steps + 1
            curve = (*self._told.curve, (steps, taken.loss, taken.psnr_db))
            self._tell(steps=steps, curve=curve if len(curve) <= LONGEST_CURVE else curve[::2], changed=True,
                       running=self._told.running and steps < self._told.of)
        if time.monotonic() - self._shown_at >= max(SHOW_EVERY_S, LEARN_PER_LOOK * live.looked_s()):
            self._show()

    def _show(self) -> None:
        with self._changed:
            self._unshown, self._shown_at = False, time.monotonic()
        if self._live is not None:
            self._live.show()

    def _reset(self) -> None:
        if self._live is not None:
            self._live.reset()
        self._settled()

    def _keep(self) -> None:
        if self._live is not None:
            self._live.keep()
        self._settled(can_undo=True, **self._written())

    def _written(self) -> dict[str, str]:
        """What was kept outlives the process too, where the disk has room for it."""
        try:
            return {"kept": str(self._backend.write_kept())}
        except WRITE_ERRORS as error:
            log.warning("what was kept could not be written: %s", error)
            why = str(error) or type(error).__name__
            return {"kept": "", "error": f"kept, but in memory alone: {why}. Save a checkpoint when that is put right"}

    def _undo(self) -> None:
        self._backend.undo()
        self._settled(can_undo=self._backend.can_undo(), kept="")

    def _settled(self, **news: object) -> None:
        with self._changed:
            self._live, self._unshown = None, False
            self._tell(**{"started_by": "", "running": False, "steps": 0, "of": 0, "curve": (), "changed": False,
                          "flight": "", "error": "", **news})

    def _save(self) -> None:
        saved = self._backend.save()
        with self._changed:
            self._tell(saved=str(saved), error="")
