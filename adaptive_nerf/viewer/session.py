"""The operation `view`: a page for people, open until somebody ends it, its time is over, or the job is stopped.

The page is up before the model is: whoever opens it sees the photos and the points meanwhile. Its address with the key
stands in the job's viewer_url, for the owner alone; logs and events tell it without the key.
"""

from __future__ import annotations

import contextlib
import logging

from adaptive_nerf.common.durations import duration
from adaptive_nerf.common.run_progress import Result, Run, StopRequested
from adaptive_nerf.jobs.spec import View
from adaptive_nerf.pipelines.opening import scene_of, set_up_arithmetic
from adaptive_nerf.viewer.access import key_of_job
from adaptive_nerf.viewer.field_backend import FieldBackend
from adaptive_nerf.viewer.jobs_feed import JobsFeed
from adaptive_nerf.viewer.listening import EVERYWHERE, listen
from adaptive_nerf.viewer.page import Page
from adaptive_nerf.viewer.page_server import PageServer
from adaptive_nerf.viewer.session_state import SessionState
from adaptive_nerf.viewer.session_words import due_warning
from adaptive_nerf.viewer.shared_adaptation import SharedAdaptation

LOOK_S = 0.2
TELL_EVERY_S = 60.0  # or when somebody comes or leaves: each telling is an event
log = logging.getLogger(__name__)


def view(run: Run[View]) -> Result:
    set_up_arithmetic(run)
    spec = run.spec
    with contextlib.ExitStack() as at_the_end:
        listening = listen(spec.viewer_host, spec.viewer_port)
        at_the_end.callback(listening.close)
        scene = scene_of(run)
        backend = FieldBackend(run, scene)
        at_the_end.callback(backend.close)
        state = SessionState(spec.job_id or run.out.name, run.out, backend, SharedAdaptation(backend), JobsFeed(),
                             spec.viewer_timeout)
        at_the_end.callback(state.close)
        key = key_of_job(run.out)
        server = PageServer(listening, spec.viewer_host, key, state, Page)
        at_the_end.callback(lambda: server.close(state.why_it_ends))
        run.publish_url(f"{server.address}/?token={key}")
        at_the_end.callback((run.out / "viewer_url").unlink, missing_ok=True)
        _tell_address(run, server.address)
        return Open(run, state, backend).until_it_ends()


def _tell_address(run: Run[View], address: str) -> None:
    here = f", on this machine http://localhost:{run.spec.viewer_port}" if run.spec.viewer_host in EVERYWHERE else ""
    log.info("the page is open at %s%s; the address with its key is in %s", address, here, run.out / "viewer_url")


class Open:
    """While the page is open."""

    def __init__(self, run: Run[View], state: SessionState, backend: FieldBackend):
        self._run, self._state, self._backend = run, state, backend
        self._told: tuple[int, int] | None = None
        self._warned: frozenset[float] = frozenset()

    def until_it_ends(self) -> Result:
        while not self._state.wait(LOOK_S):
            if self._run.stop_requested():
                raise StopRequested("stopped on request", self._result())
            facts = self._state.facts()
            if facts.left_s == 0:
                self._state.why_it_ends = "Its time was over."
                log.info("the page ends: its time is over (viewer_timeout)")
                return self._result()
            self._warn(facts.left_s)
            self._tell(facts.open_s, facts.people, facts.idle_s)
        log.info("%s ended the page", self._state.ended_by)
        return self._result(keep_all=not self._state.may_lose_unkept)

    def _warn(self, left_s: float | None) -> None:
        due = due_warning(left_s, self._warned)
        if due is not None:
            self._warned |= {due}
            log.warning("the page ends in %s (viewer_timeout)", duration(left_s))

    def _tell(self, open_s: float, people: int, idle_s: float) -> None:
        now = int(open_s / TELL_EVERY_S), people
        if now != self._told:
            self._told = now
            self._run.progress.step(round(open_s), self._run.spec.viewer_timeout or None,
                                    {"people": people, "idle_s": round(idle_s)})
            self._run.progress.flush()

    def _result(self, keep_all: bool = True) -> Result:
        """What was kept on the page is saved, if nobody did; what was learned and not kept, unless a person who was
        asked about it ended the page."""
        self._state.adaptation.close()  # after what it is writing
        told = self._state.adaptation.status()
        artifacts = [told.saved] if told.saved else []
        if not keep_all:
            self._backend.drop_unkept()
        if self._backend.has_unsaved():
            saved = str(self._backend.save())
            log.info("what was learned on the page is kept in %s", saved)
            artifacts.append(saved)
        facts = self._state.facts()
        return Result(tuple(artifacts), {"open_s": round(facts.open_s, 1)})
