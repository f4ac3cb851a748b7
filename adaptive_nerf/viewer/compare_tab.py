"""The tab *Compare*: the model beside another state of it, from the same camera."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import viser

from adaptive_nerf.common.errors import AdaptiveNerfError
from adaptive_nerf.viewer.comparing import Comparison
from adaptive_nerf.viewer.plain_words import escaped
from adaptive_nerf.viewer.screen import Screen

NOTHING = "nothing"
HELP = "Choose what to compare the model with. Both are seen from the same place."
ONLY_ONE = "There is only one state of the model yet: adapt it, or save a checkpoint."


class CompareTab:
    """`choose` is told which state to make pictures of, None for none. `looked_at` names what it is compared with."""

    def __init__(self, gui: viser.GuiApi, screen: Screen, choices: Callable[[], Sequence[str]],
                 choose: Callable[[str | None], None], looked_at: Callable[[], str]):
        self._screen, self._choices, self._choose, self._looked_at = screen, choices, choose, looked_at
        self._lock = threading.Lock()  # one choice after the other
        self._opened: str | None = None
        self._problem = ""
        self._offered = (NOTHING, *choices())
        self._with = gui.add_dropdown("Compare with", self._offered, initial_value=NOTHING)
        self._with.on_update(lambda _: self._chosen())
        kinds = [Comparison.SPLIT.value, Comparison.DIFFERENCE.value]
        self._kind = gui.add_dropdown("How", kinds, initial_value=kinds[0], disabled=True)
        self._kind.on_update(lambda _: self._chosen())
        self._edge = gui.add_slider("Edge (%)", 0, 100, 1, 50, disabled=True,
                                    hint="Where the white edge stands: 0 is the left end of the window, 100 the right.")
        self._edge.on_update(lambda _: screen.set_look(edge=self._edge.value / 100))
        self._told = gui.add_markdown(HELP)

    @property
    def compared_with(self) -> str:
        return self._opened or ""

    def _chosen(self) -> None:
        with self._lock:
            name = None if self._with.value == NOTHING else self._with.value
            kind = Comparison(self._kind.value) if name else Comparison.OFF
            self._kind.disabled, self._edge.disabled = name is None, kind is not Comparison.SPLIT
            self._screen.set_look(comparison=kind)
            if name != self._opened:
                self._open(name)

    def _open(self, name: str | None) -> None:
        self._told.content = f"Opening **{escaped(name)}**…" if name else HELP
        try:
            self._choose(name)
            self._opened, self._problem = name, ""
        except AdaptiveNerfError as error:
            self._screen.set_look(comparison=Comparison.OFF)
            self._opened, self._problem = None, f"**It cannot be opened:** {escaped(error, 300)}"

    def tick(self) -> None:
        """New states come while one looks."""
        offered = (NOTHING, *self._choices())
        if offered != self._offered:
            self._offered = offered
            self._with.options = offered
        if self._lock.locked():
            return
        told = self._problem or self._explained(len(offered) > 1)
        if told != self._told.content:
            self._told.content = told

    def _explained(self, any_to_choose: bool) -> str:
        name, looked_at = escaped(self._opened), escaped(self._looked_at())
        if self._opened is None:
            return HELP if any_to_choose else ONLY_ONE
        if self._kind.value == Comparison.SPLIT.value:
            return f"**Left** of the white edge: {name}. **Right** of it: {looked_at}."
        return f"What lights up is different between *{name}* and *{looked_at}*."
