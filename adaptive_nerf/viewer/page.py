"""One person's page: built when their browser connects, gone when it leaves. What it shows is theirs alone.

One thread of its own does all that is repeated: it asks for pictures as the camera moves, sends those that are ready,
and keeps the words of the tabs up to date. Everything else happens in the callbacks of buttons.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

import viser

from adaptive_nerf.data.photos import Photo
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.viewer.adapt_tab import AdaptTab
from adaptive_nerf.viewer.backend import ModelNow
from adaptive_nerf.viewer.compare_tab import CompareTab
from adaptive_nerf.viewer.compass import compass_html
from adaptive_nerf.viewer.jobs_tab import JobsTab
from adaptive_nerf.viewer.kept_view import KeptView
from adaptive_nerf.viewer.legends import legend_html
from adaptive_nerf.viewer.markup import block
from adaptive_nerf.viewer.measure_tab import MeasureTab
from adaptive_nerf.viewer.model_choice import ModelChoice
from adaptive_nerf.viewer.overlays import Layer, Overlays
from adaptive_nerf.viewer.overview import overview_of
from adaptive_nerf.viewer.photo_panel import PhotoPanel
from adaptive_nerf.viewer.picker import Picker
from adaptive_nerf.viewer.picture_source import NOW, PictureSource
from adaptive_nerf.viewer.pilot import Pilot
from adaptive_nerf.viewer.screen import Screen
from adaptive_nerf.viewer.session_state import SessionState
from adaptive_nerf.viewer.session_tab import SessionTab
from adaptive_nerf.viewer.snapshots_tab import SnapshotsTab
from adaptive_nerf.viewer.status_words import ModelState, Situation, status_html
from adaptive_nerf.viewer.view_tab import ViewTab
from adaptive_nerf.viewer.wishes import last_rung, pixels_wanted
from adaptive_nerf.viewer.witnesses import Witnesses

WORDS_EVERY_S, TABS_EVERY_S, PANEL_PX, KEY_PX = 0.25, 1.0, 480.0, 330.0
# All that one sees of the ground at first; later they would only lie over its picture.
UNTIL_THE_MODEL = (Layer.POINTS, Layer.NORTH)
log = logging.getLogger(__name__)


class Page:
    def __init__(self, client: viser.ClientHandle, session: SessionState, who: str, address: str):
        """`who`: what this person is called here. `address`: the page's, as their browser has it, without the token."""
        self._client, self._session, self._who = client, session, who
        session.backend.look_for_flights()
        self._backend, self._scene = session.backend, session.backend.scene
        self._wake, self._moved = threading.Event(), threading.Event()
        self._closed, self._tabs_at = False, 0.0
        self._faults: dict[str, str] = {}  # what each part of the page met last
        self._model, self._model_is_new = ModelNow(), True
        self._overview = overview_of(self._scene)
        self._pilot = Pilot(client, self._scene.frame)
        self._kept_view = KeptView(client, self._pilot, self._overview.start, session.job_id)
        self._points_drawn = False
        self._picker = Picker(self._scene.frame, Witnesses(self._scene.split("train"), self._scene.frame))
        self._screen = Screen(client.scene, self._scene.frame, self._picker, self._wake.set, session.touch)
        self._overlays = Overlays(client.scene, self._photo_clicked)
        self._photos = PhotoPanel(client, self._scene, self._pilot, self._overview.flown_units,
                                  self._overlays.clear_round)
        self._pictures = PictureSource(self._backend, self._screen, self._wake.set)
        with contextlib.ExitStack() as if_it_fails:
            if_it_fails.callback(self._pictures.close)
            self._build(address)
            if_it_fails.pop_all()
        self._unsubscribe = self._backend.subscribe(self._model_changed)
        client.camera.on_update(lambda _: self._camera_moved())
        self._worker = threading.Thread(target=self._work, name=f"page of {who}")
        self._worker.start()

    def _build(self, address: str) -> None:
        client, gui, session, scene = self._client, self._client.gui, self._session, self._scene
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
        gui.main_panel.float(x=-15, y=15, width=PANEL_PX)
        self._status = gui.add_html(status_html(Situation(ModelState.LOADING)))
        tabs = gui.add_tab_group()
        with tabs.add_tab("View"):
            self._choice = ModelChoice(gui, self._backend.states, self._pictures.look_at)
            self._view = ViewTab(gui, self._screen, self._ask_anew)
            self._view.add_ways(lambda: self._pilot.fly_to(self._overview.start),
                                lambda: self._pilot.fly_to(self._overview.from_above()))
            self._view.add_layers(self._overlays, self._layers())
            self._view.add_fine_tuning()
        with tabs.add_tab("Compare"):
            self._compare = CompareTab(gui, self._screen, lambda: self._choice.others, self._pictures.compare_with,
                                       lambda: self._choice.chosen)
        with tabs.add_tab("Measure"):
            self._measure = MeasureTab(client, self._screen, scene.frame, session.job_id,
                                       lambda: last_rung(self._view.wish), self._picker.witnesses)
        with tabs.add_tab("Adapt"):
            self._adapt = AdaptTab(client, session.adaptation, self._who, sorted(scene.flights))
        with tabs.add_tab("Snapshots"):
            SnapshotsTab(client, self._screen, self._pilot, scene.frame, session.folder / "snapshots", address)
        with tabs.add_tab("Jobs"):
            self._jobs = JobsTab(gui, session.jobs)
        with tabs.add_tab("Session"):
            self._session_tab = SessionTab(client, session, self._who)
        self._key = gui.add_panel()
        with self._key.add_tab("North, scale and colours"):
            self._compass, self._legend = gui.add_html(""), gui.add_html("")
        self._key.float(x=15, y=-15, width=KEY_PX)

    def _layers(self) -> list[Layer]:
        """What there is, or may come, to be drawn over the picture."""
        splits = {Layer.TRAIN: self._scene.split("train"), Layer.VAL: self._scene.split("val"),
                  Layer.FLIGHTS: self._scene.flights}
        return [layer for layer in Layer if splits.get(layer, True)]

    def close(self) -> None:
        """The browser has gone."""
        self._closed = True
        self._wake.set()
        self._unsubscribe()
        self._pictures.close()
        self._adapt.left()
        if threading.current_thread() is not self._worker:
            self._worker.join()

    def _photo_clicked(self, photo: Photo) -> None:
        if not self._measure.is_on:  # else the click was for the ground behind it
            self._photos.show(photo)

    def _camera_moved(self) -> None:
        self._session.touch()
        self._ask_anew()

    def _ask_anew(self) -> None:
        self._moved.set()
        self._wake.set()

    def _model_changed(self) -> None:
        self._model_is_new = True
        self._wake.set()

    def _work(self) -> None:
        self._draw_slowly()
        words_at = 0.0
        while not self._closed:
            self._wake.wait(WORDS_EVERY_S)
            self._wake.clear()
            self._guarded(self._send_pictures)
            if not self._closed and time.monotonic() - words_at >= WORDS_EVERY_S:
                words_at = time.monotonic()
                self._tell()

    def _guarded(self, action: Callable[[], None]) -> None:
        """A fault is logged when it is news, and the page goes on with all the rest."""
        try:
            action()
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            if self._faults.get(action.__qualname__) != told:
                log.exception("a page of the viewer met a fault")
            self._faults[action.__qualname__] = told
        else:
            self._faults.pop(action.__qualname__, None)

    def _draw_slowly(self) -> None:
        """What takes a while to read, when the first words stand already."""
        for slow in (self._draw_photos, self._kept_view.restore, self._measure.restore, self._adapt.restore):
            self._guarded(slow)

    def _draw_photos(self) -> None:
        scene = self._scene
        self._overlays.add_photos(scene)
        self._overlays.add_north_and_scale(self._overview.corner, self._overview.width_units,
                                           scene.frame.units_to_metres(FrameName.VIEWER))

    def _draw_points(self) -> None:
        now = self._backend.points()
        if not now.known or self._points_drawn:
            return
        self._points_drawn = True
        if now.points is None:
            self._view.tell_no_points(now.words)
            return
        self._overlays.add_points(now.points.positions_viewer, now.points.colours)
        to_enu = self._scene.frame.convert(FrameName.VIEWER, FrameName.ENU)
        self._picker.learn_survey(to_enu.points(now.points.positions_viewer))
        self._view.offer_layer(Layer.POINTS)

    def _send_pictures(self) -> None:
        if self._model_is_new:
            self._model_is_new = False
            self._take_model(self._backend.model())
            self._draw_points()
        if self._moved.is_set() and self._model.renderer is not None:
            self._moved.clear()
            wish = self._view.wish
            camera = self._pilot.camera(pixels_wanted(wish, self._pilot.window_pixels()))
            self._pictures.want(camera, last_rung(wish), self._view.expert_alone)
        self._pictures.fetch()
        if self._screen.send_if_changed():
            self._client.flush()
            self._tell_legend()

    def _take_model(self, model: ModelNow) -> None:
        former, self._model = self._model, model
        if len(model.expert_boxes) != len(former.expert_boxes) or model.expert_boxes is not former.expert_boxes:
            self._screen.n_experts = max(1, len(model.expert_boxes))
            self._view.offer_experts(len(model.expert_boxes))
            self._overlays.add_experts(model.expert_boxes, self._scene.frame)
            self._view.offer_layer(Layer.EXPERTS)
        if model.epoch != former.epoch:
            self._pictures.model_changed()
        if former.renderer is None and model.renderer is not None:
            self._moved.set()
            for layer in UNTIL_THE_MODEL:
                self._overlays.show(layer, False)
                self._view.show_layer(layer, False)

    def _tell_legend(self) -> None:
        legend = self._screen.legend
        told = block(legend_html(legend)) if legend is not None and (legend.bar or legend.patches) else ""
        if told != self._legend.content:
            self._legend.content = told

    def _tell(self) -> None:
        due: list[Callable[[], None]] = [self._tell_situation, self._tell_compass, self._adapt.tick]
        if time.monotonic() - self._tabs_at >= TABS_EVERY_S:
            self._tabs_at = time.monotonic()
            due += [self._kept_view.keep, *(tab.tick for tab in (self._choice, self._compare, self._jobs,
                                                                 self._session_tab))]
        for tell in due:
            self._guarded(tell)

    def _tell_situation(self) -> None:
        told = status_html(self._situation())
        if told != self._status.content:
            self._status.content = told

    def _tell_compass(self) -> None:
        picked = self._screen.pick(0.5, 0.5)
        compass = compass_html(self._pilot.view(), picked.distance_m if picked else None)
        if compass != self._compass.content:
            self._compass.content = compass

    def _situation(self) -> Situation:
        model, queue = self._backend.model(), self._pictures.status()
        screen, stale = self._screen, ""
        if queue.stale and queue.ready is not None:
            stale = "view" if queue.ready.seq < queue.accepted else "model"
        looked_at = self._choice.chosen if self._choice.chosen != NOW else ""
        return Situation(model.state, model.words, screen.quality, queue.took_s, queue.best, stale, queue.waited_s,
                         self._pictures.memory_was_short, queue.error, screen.waits_for_other, screen.missing,
                         looked_at, self._compare.compared_with, model.notice, model.renderer is not None)
