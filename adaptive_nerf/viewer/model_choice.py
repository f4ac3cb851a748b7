"""Which state of the model a person looks at: the one that the page shares, or another checkpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import viser

from adaptive_nerf.common.errors import AdaptiveNerfError
from adaptive_nerf.viewer.picture_source import NOW
from adaptive_nerf.viewer.plain_words import escaped

HINT = "What you look at. It is for you alone: others choose for themselves, and Adapt goes on with this page's model."


class ModelChoice:
    """`choose` is told which state to make pictures of, None for this page's model. Hidden where there is no other."""

    def __init__(self, gui: viser.GuiApi, choices: Callable[[], Sequence[str]], choose: Callable[[str | None], None]):
        self._choices, self._choose = choices, choose
        self._lock = threading.Lock()  # one choice after the other
        self.chosen = NOW
        self._offered: tuple[str, ...] = (NOW,)
        self._dropdown = gui.add_dropdown("Model", self._offered, initial_value=NOW, visible=False, hint=HINT)
        self._dropdown.on_update(lambda _: self._changed())
        self._told = gui.add_markdown("", visible=False)

    @property
    def others(self) -> tuple[str, ...]:
        """What the chosen one can be compared with."""
        return tuple(name for name in self._offered if name != self.chosen)

    def _changed(self) -> None:
        with self._lock:
            name = self._dropdown.value
            if name == self.chosen:
                return
            self._tell(f"Opening **{escaped(name)}**…")
            try:
                self._choose(None if name == NOW else name)
                self.chosen, problem = name, ""
            except AdaptiveNerfError as error:
                problem = f"**It cannot be opened:** {escaped(error, 300)}"
            self._tell(problem)

    def _tell(self, words: str) -> None:
        self._told.content, self._told.visible = words, bool(words)

    def tick(self) -> None:
        """New states come while one looks; one that is looked at stays in the list."""
        offered = (NOW, *self._choices())
        if self.chosen not in offered:
            offered += (self.chosen,)
        if offered != self._offered:
            self._offered = offered
            self._dropdown.options = offered
            self._dropdown.visible = len(offered) > 1
