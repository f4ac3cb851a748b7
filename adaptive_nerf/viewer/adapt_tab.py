"""The tab *Adapt*: let the model learn from a later flight, watch it, then keep it or go back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import viser
from viser import uplot

from adaptive_nerf.common.errors import AdaptiveNerfError
from adaptive_nerf.viewer.adapt_words import FEWEST_POINTS, adaptation_html, curve_data
from adaptive_nerf.viewer.backend import AdaptationStatus
from adaptive_nerf.viewer.markup import Light, block, dot, safe
from adaptive_nerf.viewer.plain_words import one_line
from adaptive_nerf.viewer.shared_adaptation import SharedAdaptation

USUAL_STEPS, MOST_STEPS, LONGEST_NAME = 128, 100_000, 40
NAME_KEY, PATIENCE_S = "adaptive-nerf-name", 3.0
PLOT_PX = 150
SAVE_HINT = "A checkpoint is the model as it stands now, in the job's folder: other jobs can go on from it."


class AdaptTab:
    """`me` is how the others see this person."""

    def __init__(self, client: viser.ClientHandle, shared: SharedAdaptation, who: str, flights: Sequence[str]):
        self._client, self._shared = client, shared
        self._who = self.me = who
        self._lock = threading.Lock()
        self._refused = ""
        self._drawn: tuple[object, ...] = ()
        gui = client.gui
        if not flights:
            gui.add_markdown("This scene has **no later flights** yet. Add one with `update_dataset.py`, and open the "
                             "page again.")
        self._flight = gui.add_dropdown("Later flight", tuple(flights) or ("none",), disabled=not flights,
                                        hint="Newer photos of the same place, for the model to learn what changed.")
        self._steps = gui.add_number("Steps", USUAL_STEPS, min=1, max=MOST_STEPS, step=1, disabled=not flights,
                                     hint="More steps fit the new photos more closely, and take longer.")
        self._go = gui.add_button_group("Learn", ("Start", "Pause", "One step"), disabled=not flights,
                                        hint="The model changes for everybody who looks at it, until Keep or Reset.")
        self._go.on_click(lambda _: self._press(self._go.value))
        self._settle = gui.add_button_group("Then", ("Keep", "Reset", "Undo keep"),
                                            hint="Keep: go on from what was learned. Reset: back to before. "
                                                 "Undo keep: take back what was kept last.")
        self._settle.on_click(lambda _: self._press(self._settle.value))
        self._told = gui.add_html("")
        self._plots = [_plot(gui, "Error on the new photos: loss (thousandths)", "#d62828"),
                       _plot(gui, "Agreement with the new photos: PSNR (dB)", "#1c7ed6")]
        gui.add_button("Save a checkpoint", hint=SAVE_HINT).on_click(
            lambda _: self._try(shared.save))
        self._name = gui.add_text("Your name", self._who, hint="So that the others see who started it.")
        self._name.on_update(lambda _: self._rename(self._name.value))

    def restore(self) -> None:
        """The name that this browser remembers."""
        try:
            name = self._client.local_storage.get_item(NAME_KEY, timeout=PATIENCE_S)
        except (TimeoutError, RuntimeError):
            return
        if name and one_line(name, LONGEST_NAME):
            self._name.value = one_line(name, LONGEST_NAME)
            self._rename(name)

    def _rename(self, name: str) -> None:
        """Not while one holds the adaptation: it would be lost to its holder."""
        name = one_line(name, LONGEST_NAME)
        with self._lock:
            if name and self._shared.status().started_by != self.me:
                self.me = name if name == self._who else f"{name} ({self._who})"  # two may have one name
                self._client.local_storage.set_item(NAME_KEY, name)

    def _press(self, button: str) -> None:
        flight, steps, shared, me = str(self._flight.value), int(self._steps.value), self._shared, self.me
        actions: dict[str, Callable[[], None]] = {
            "Start": lambda: shared.start(me, flight, steps), "Pause": lambda: shared.pause(me),
            "One step": lambda: shared.step(me, flight), "Keep": lambda: shared.keep(me),
            "Reset": lambda: shared.reset(me), "Undo keep": lambda: shared.undo(me)}
        self._try(actions[button])

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
            self._refused = ""
        except AdaptiveNerfError as error:
            self._refused = str(error)
        self.tick()

    def left(self) -> None:
        self._shared.left(self.me)

    def tick(self) -> None:
        now = self._shared.status()
        with self._lock:
            drawn = (now, self._refused, self.me)
            if drawn == self._drawn:
                return
            self._drawn = drawn
            refused = block(f"{dot(Light.CARE)} {safe(self._refused, 300)}") if self._refused else ""
            self._told.content = refused + adaptation_html(now, self.me)
            self._draw_curves(now)

    def _draw_curves(self, now: AdaptationStatus) -> None:
        steps, *curves = curve_data(now)
        for plot, curve in zip(self._plots, curves, strict=True):
            plot.visible = len(curve) >= FEWEST_POINTS
            plot.data = (steps, curve)


def _plot(gui: viser.GuiApi, title: str, colour: str) -> viser.GuiUplotHandle:
    steps, curve, _ = curve_data(AdaptationStatus())
    series = (uplot.Series(label="step"), uplot.Series(label=title, stroke=colour, width=2))
    return gui.add_uplot((steps, curve), series, title=title, scales={"x": uplot.Scale(time=False)}, height=PLOT_PX,
                         legend=uplot.Legend(show=False), visible=False)
