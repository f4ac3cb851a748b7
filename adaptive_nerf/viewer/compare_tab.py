"""The tab *Compare*: the model beside another state of it, from the same camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import viser

from adaptive_nerf.viewer.comparing import Comparison
from adaptive_nerf.viewer.screen import Screen

NOTHING = "nothing"
HELP = ("Choose what to compare with. *Left and right*: the other one is left of the white edge, the current one right "
        "of it. *Difference*: what changed lights up.")


class CompareTab:
    """`choose` is told which state to make pictures of, None for none."""

    def __init__(self, gui: viser.GuiApi, screen: Screen, choices: Callable[[], Sequence[str]],
                 choose: Callable[[str | None], None]):
        self._screen, self._choices, self._choose = screen, choices, choose
        self._offered = (NOTHING, *choices())
        self._with = gui.add_dropdown("Compare with", self._offered, initial_value=NOTHING)
        self._with.on_update(lambda _: self._chosen())
        kinds = [Comparison.SPLIT.value, Comparison.DIFFERENCE.value]
        self._kind = gui.add_dropdown("How", kinds, initial_value=kinds[0], disabled=True)
        self._kind.on_update(lambda _: self._chosen())
        self._edge = gui.add_slider("Edge (%)", 0, 100, 1, 50, disabled=True)
        self._edge.on_update(lambda _: screen.set_look(edge=self._edge.value / 100))
        self._told = gui.add_markdown(HELP)

    def _chosen(self) -> None:
        name = None if self._with.value == NOTHING else self._with.value
        kind = Comparison(self._kind.value) if name else Comparison.OFF
        self._kind.disabled, self._edge.disabled = name is None, kind is not Comparison.SPLIT
        self._screen.set_look(comparison=kind)
        self._choose(name)

    def tick(self) -> None:
        """New states come while one looks."""
        offered = (NOTHING, *self._choices())
        if offered != self._offered:
            self._offered = offered
            self._with.options = offered
        few = len(offered) == 1
        told = "There is only one state of the model yet: adapt it, or save a checkpoint." if few else HELP
        if told != self._told.content:
            self._told.content = told
