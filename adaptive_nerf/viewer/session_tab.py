"""The tab *Session*: keep the model, see how long the page stays open, end it for everybody."""

from __future__ import annotations

import viser

from adaptive_nerf.common.durations import duration
from adaptive_nerf.common.errors import AdaptiveNerfError
from adaptive_nerf.viewer.adapt_tab import SAVE_HINT
from adaptive_nerf.viewer.backend import AdaptationStatus
from adaptive_nerf.viewer.markup import Light, block, dot, safe
from adaptive_nerf.viewer.session_state import SessionState
from adaptive_nerf.viewer.session_words import due_warning, saved_html, session_html


class SessionTab:
    def __init__(self, client: viser.ClientHandle, session: SessionState, who: str):
        self._client, self._session, self._who = client, session, who
        self._warned: frozenset[float] = frozenset()
        gui = client.gui
        self._facts = gui.add_html("")
        gui.add_button("Save a checkpoint", hint=SAVE_HINT).on_click(
            lambda _: self._save())
        self._saved = gui.add_html("")
        gui.add_button("End this page for everybody", color="red").on_click(lambda _: self._ask())

    def _save(self) -> None:
        try:
            self._session.adaptation.save()
        except AdaptiveNerfError as error:
            self._saved.content = block(f"{dot(Light.CARE)} {safe(error, 300)}")
        else:
            self._saved.content = block(f"{dot(Light.CARE)} Saving…")

    def _ask(self) -> None:
        gui, facts = self._client.gui, self._session.facts()
        modal = gui.add_modal("End this page?")
        with modal:
            others = "" if facts.people <= 1 else f" **{facts.people} people are looking at it.**"
            any_unkept = self._session.adaptation.status().changed
            unkept = " **What was learned is not kept yet, and would be lost.**" if any_unkept else ""
            gui.add_markdown(f"The page closes for everybody, and the job ends.{others}{unkept}")
            gui.add_button("End it", color="red").on_click(lambda _: self._session.end(self._who, any_unkept))
            gui.add_button("Go on", color="gray").on_click(lambda _: modal.close())

    def tick(self) -> None:
        facts = self._session.facts()
        told = session_html(facts)
        if told != self._facts.content:
            self._facts.content = told
        self._tell_saved(self._session.adaptation.status())
        due = due_warning(facts.left_s, self._warned)
        if due is not None and facts.left_s is not None:
            self._warned |= {due}
            self._client.add_notification(
                f"This page ends in {duration(facts.left_s)}",
                "Save what you need: pictures, measurements, a checkpoint.", color="orange", auto_close_seconds=30.0)

    def _tell_saved(self, now: AdaptationStatus) -> None:
        told = saved_html(now)
        if told and told != self._saved.content:
            self._saved.content = told
