"""The tab *Snapshots*: a picture for the report, and a link to this very view."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import viser
from PIL import Image

from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.viewer.pilot import Pilot
from adaptive_nerf.viewer.plain_words import escaped
from adaptive_nerf.viewer.screen import Screen
from adaptive_nerf.viewer.snapshots import pose_of, save_snapshot
from adaptive_nerf.viewer.viewpoints import link_query, view_of_link

PATIENCE_S, HIGHEST_PX = 20.0, 2160
log = logging.getLogger(__name__)


class SnapshotsTab:
    """Pictures go to the person's downloads, and with their pose into `folder`."""

    def __init__(self, client: viser.ClientHandle, screen: Screen, pilot: Pilot, frame: SceneFrame,
                 folder: Path, address: str):
        self._client, self._screen, self._pilot, self._frame = client, screen, pilot, frame
        self._folder, self._address = folder, address.rstrip("/")
        gui = client.gui
        kind = gui.add_button_group("Save", ("With drawings", "Picture only"),
                                    hint="With drawings: as your window shows it, with marks and boxes.")
        kind.on_click(lambda _: self._take(kind.value == "With drawings"))
        self._told = gui.add_markdown("The picture goes to your downloads, and is kept with the job.")
        with gui.add_folder("Link to this view"):
            gui.add_button("Make a link").on_click(lambda _: self._make_link())
            self._link = gui.add_text("Link", "", hint="Copy it, and send it to somebody who may open this page.")
            pasted = gui.add_text("Go to a link", "", hint="Paste a link here to fly to its view.")
            pasted.on_update(lambda _: self._go(pasted.value))
            self._link_told = gui.add_markdown("")

    def _take(self, with_drawings: bool) -> None:
        self._screen.touched()
        view, look = self._pilot.view(), self._screen.look
        try:
            pixels = self._window() if with_drawings else self._screen.picture()
            if pixels is None:
                self._told.content = "There is no picture yet."
                return
            png = png_of(pixels)
            path = save_snapshot(self._folder, png, pose_of(view, self._frame, self._screen.frame,
                                                            look.settings.mode.value))
        except (TimeoutError, RuntimeError, BadInput, OSError) as error:
            log.warning("a snapshot failed: %s", error)
            self._told.content = f"The picture could not be saved: {escaped(error, 300)}"
            return
        self._client.send_file_download(path.name, png, save_immediately=True)
        self._told.content = f"Saved: **{escaped(path.name)}**, also in the job's folder."

    def _window(self) -> np.ndarray:
        """The window as the browser draws it, overlays and all."""
        camera = self._client.camera
        share = min(1.0, HIGHEST_PX / max(camera.image_height, 1))
        return self._client.get_render(round(camera.image_height * share), round(camera.image_width * share),
                                       transport_format="png", timeout=PATIENCE_S)[..., :3]

    def _make_link(self) -> None:
        self._link.value = f"{self._address}/?{link_query(self._pilot.view())}"

    def _go(self, text: str) -> None:
        if not text.strip():
            return
        view = view_of_link(text)
        self._link_told.content = "" if view else "That is no link to a view of this page."
        if view:
            self._pilot.fly_to(view)


def png_of(pixels: np.ndarray) -> bytes:  # [h, w, 3] uint8
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()
