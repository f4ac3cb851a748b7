"""The photo that was chosen, beside the picture that the model makes of the same view."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np
import viser
from PIL import Image

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.viewer.pilot import Pilot, view_along
from adaptive_nerf.viewer.plain_words import escaped

WIDEST_PX = 480
PANEL_WIDTH_PX = 400.0
KINDS = {"train": "used to learn", "val": "kept for checking"}


class PhotoPanel:
    """A window of its own, that opens with the first photo. `clear_round` is told where one stands then; None after."""

    def __init__(self, client: viser.ClientHandle, scene: Scene, pilot: Pilot, reach_units: float,
                 clear_round: Callable[[Array | None], None]):
        self._gui, self._scene, self._pilot, self._reach = client.gui, scene, pilot, reach_units
        self._clear_round = clear_round
        self._panel: viser.PanelHandle | None = None
        self._lock = threading.Lock()

    def show(self, photo: Photo) -> None:
        """Fly to where it was taken, and show it."""
        try:
            picture = small_picture(photo.pixels())
        except BadData as error:
            self._fill(photo, None, str(error))
        else:
            self._fill(photo, picture, "")
        camera = photo.camera(self._scene.frame.metres_per_unit).in_frame(FrameName.VIEWER, self._scene.frame)
        self._clear_round(camera.c2w[:, 3])
        self._pilot.fly_to(view_along(camera.c2w, 2 * math.atan(camera.height / (2 * camera.fy)), self._reach))

    def _fill(self, photo: Photo, picture: np.ndarray | None, problem: str) -> None:
        with self._lock:
            self._close()
            self._panel = self._gui.add_panel()
            with self._panel.add_tab("Photo"):
                if picture is not None:
                    self._gui.add_image(picture, label=None, format="jpeg", jpeg_quality=85)
                self._gui.add_markdown(photo_words(photo) + (f"\n\n{escaped(problem, 400)}" if problem else ""))
                self._gui.add_button("Close the photo").on_click(lambda _: self.close())
            self._panel.float(x=16, y=16, width=PANEL_WIDTH_PX)

    def close(self) -> None:
        with self._lock:
            self._close()
        self._clear_round(None)

    def _close(self) -> None:
        if self._panel is not None:
            self._panel.remove()
            self._panel = None


def photo_words(photo: Photo) -> str:
    kind = KINDS.get(photo.split) or f"of the later flight {escaped(photo.split, 60)}"
    taken = f", taken {escaped(photo.captured_at.replace('T', ' '), 40)}" if photo.captured_at else ""
    return f"**{escaped(photo.name, 80)}** — {kind}{taken}.\n\nThe picture behind is what the model shows from there."


def small_picture(pixels: np.ndarray) -> np.ndarray:  # [h, w, 3] uint8
    image = Image.fromarray(pixels)
    image.thumbnail((WIDEST_PX, WIDEST_PX))
    return np.asarray(image)
