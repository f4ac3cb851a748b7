"""The tab *View*: what is shown, how, and what is drawn over it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import viser

from adaptive_nerf.viewer.colour_maps import ColourMap
from adaptive_nerf.viewer.display import Background, DisplaySettings, Mode
from adaptive_nerf.viewer.markup import block, swatch
from adaptive_nerf.viewer.overlay_shapes import FLIGHT_COLOURS, TRAIN_COLOUR, VAL_COLOUR
from adaptive_nerf.viewer.overlays import Layer, Overlays
from adaptive_nerf.viewer.plain_words import escaped
from adaptive_nerf.viewer.screen import Screen
from adaptive_nerf.viewer.wishes import Wish

ALL_EXPERTS, ONLY = "All experts", "Only expert "
MODE_HINT = ("Colour: as photographed. Depth: how far away. Opacity: how solid the model is there. "
             "Normals: which way surfaces face. Expert: which part of the model shows it.")
COME_LATER = frozenset({Layer.EXPERTS, Layer.POINTS})  # with the model; when they were read
MOST_STOPS, GAMMAS, FARTHEST_M = 4.0, (0.4, 3.0), 10_000.0


class ViewTab:
    """`wish` and `expert_alone` are read by whoever asks for pictures; `changed` is called when they must be asked for
    anew."""

    def __init__(self, gui: viser.GuiApi, screen: Screen, changed: Callable[[], None]):
        self._gui, self._screen, self._changed = gui, screen, changed
        self.wish = Wish.AUTO
        self.expert_alone: int | None = None
        mode = gui.add_dropdown("Show", [mode.value for mode in Mode], initial_value=Mode.COLOUR.value, hint=MODE_HINT)
        mode.on_update(lambda _: screen.set_display(mode=Mode(mode.value)))
        self._expert = gui.add_dropdown("Experts", (ALL_EXPERTS,), initial_value=ALL_EXPERTS, visible=False,
                                        hint="The model is made of experts, one for each part of the area. "
                                             "One alone hides what the others show.")
        self._expert.on_update(lambda _: self._show_expert(_expert_number(self._expert.value)))
        wish = gui.add_dropdown("Quality", [wish.value for wish in Wish], initial_value=Wish.AUTO.value,
                                hint="Automatic: coarse at once, then finer. Fast: for slow computers. "
                                     "Best: every pixel of your window, which takes longer. None shows more than "
                                     "the model has learned.")
        wish.on_update(lambda _: self._wish_for(Wish(wish.value)))
        self._boxes: dict[Layer, viser.GuiCheckboxHandle] = {}

    def offer_experts(self, count: int) -> None:
        self._expert.options = (ALL_EXPERTS, *(f"{ONLY}{expert}" for expert in range(count)))
        self._expert.visible = count > 1

    def _show_expert(self, expert: int | None) -> None:
        """At once, what is seen of it in the picture at hand; then a picture of it alone, in which nothing hides it."""
        self.expert_alone = expert
        self._screen.set_display(expert_alone=expert)
        self._changed()

    def _wish_for(self, wish: Wish) -> None:
        self.wish = wish
        self._changed()

    def add_ways(self, overview: Callable[[], None], from_above: Callable[[], None]) -> None:
        ways = self._gui.add_button_group("Go to", ("Overview", "From above"))
        ways.on_click(lambda _: (overview if ways.value == "Overview" else from_above)())

    def add_layers(self, overlays: Overlays, layers: Sequence[Layer]) -> None:
        with self._gui.add_folder("Drawn over the picture"):
            for layer in layers:
                box = self._gui.add_checkbox(layer.value, overlays.is_shown(layer), hint=layer.hint,
                                             visible=layer not in COME_LATER)
                self._boxes[layer] = box
                box.on_update(lambda _, box=box, layer=layer: overlays.show(layer, box.value))
            self._points_told = self._gui.add_markdown("", visible=False)
            self._gui.add_html(block(_photo_key(layers)))

    def offer_layer(self, layer: Layer) -> None:
        """It has something to show now."""
        self._boxes[layer].visible = True

    def show_layer(self, layer: Layer, visible: bool) -> None:
        """As if somebody had ticked it."""
        self._boxes[layer].value = visible

    def tell_no_points(self, why: str) -> None:
        self._points_told.content = f"This scene has **no survey points**: {escaped(why)}."
        self._points_told.visible = True

    def add_fine_tuning(self) -> None:
        gui, screen, usual = self._gui, self._screen, DisplaySettings()
        with gui.add_folder("Colours and brightness", expand_by_default=False):
            exposure = gui.add_slider("Brightness", -MOST_STOPS, MOST_STOPS, 0.25, usual.exposure_stops,
                                      hint="In steps of the lens: +1 is twice the light.")
            exposure.on_update(lambda _: screen.set_display(exposure_stops=float(exposure.value)))
            gamma = gui.add_slider("Gamma", *GAMMAS, 0.1, usual.gamma, hint="More than 1 brightens the shadows.")
            gamma.on_update(lambda _: screen.set_display(gamma=float(gamma.value)))
            background = gui.add_dropdown("Background", [one.value for one in Background],
                                          initial_value=usual.background.value)
            background.on_update(lambda _: screen.set_display(background=Background(background.value)))
            colours = gui.add_dropdown("Colour map", [one.value for one in ColourMap],
                                       initial_value=usual.colour_map.value, hint="Of depth and opacity.")
            colours.on_update(lambda _: screen.set_display(colour_map=ColourMap(colours.value)))
            self._add_depth_range()

    def _add_depth_range(self) -> None:
        gui = self._gui
        automatic = gui.add_checkbox("Depth range by itself", True, hint="Nearest and farthest of what is seen.")
        near = gui.add_number("Nearest (m)", 0.0, min=0.0, max=FARTHEST_M, step=1.0, disabled=True)
        far = gui.add_number("Farthest (m)", 200.0, min=0.0, max=FARTHEST_M, step=1.0, disabled=True)

        def changed(_: object) -> None:
            near.disabled = far.disabled = automatic.value
            low, high = sorted((float(near.value), float(far.value)))
            self._screen.set_display(depth_range_m=None if automatic.value else (low, max(high, low + 0.01)))

        for widget in (automatic, near, far):
            widget.on_update(changed)


def _photo_key(layers: Sequence[Layer]) -> str:
    """What the colours of the little cameras mean."""
    colours = {Layer.TRAIN: TRAIN_COLOUR, Layer.VAL: VAL_COLOUR, Layer.FLIGHTS: FLIGHT_COLOURS[0]}
    kinds = {Layer.TRAIN: "learned", Layer.VAL: "for checks", Layer.FLIGHTS: "of a later flight"}
    shown = " ".join(f"{swatch(colours[layer])}&nbsp;{kinds[layer]}" for layer in colours if layer in layers)
    return f"Each little camera is a photo, {shown}: <b>click one</b> to fly there and see it."


def _expert_number(name: str) -> int | None:
    return None if name == ALL_EXPERTS else int(name.removeprefix(ONLY))
