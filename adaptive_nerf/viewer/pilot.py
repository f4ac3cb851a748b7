"""One person's camera in the browser: read it, and fly it somewhere."""

from __future__ import annotations

import threading
import time

import numpy as np
import viser

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.viewer.viewpoints import UP, View, between, camera_of, picture_size

FLIGHT_S, STEPS = 0.7, 14
FARTHEST_ORBIT_UNITS = 120.0


class Pilot:
    def __init__(self, client: viser.ClientHandle, scene_frame: SceneFrame):
        self._camera, self._client, self._scene_frame = client.camera, client, scene_frame
        self._lock = threading.Lock()
        self._flights = 0  # the newest one goes on, the others end
        self._camera.max_orbit_distance = FARTHEST_ORBIT_UNITS

    def view(self) -> View:
        camera = self._camera
        return View(np.array(camera.position), np.array(camera.look_at), float(camera.fov))

    def camera(self, pixels: int) -> Camera:
        """Ours, for a picture of about so many pixels that fills the window."""
        camera = self._camera
        aspect = camera.image_width / max(camera.image_height, 1)
        return camera_of(np.array(camera.wxyz), np.array(camera.position), float(camera.fov),
                         picture_size(aspect, pixels), self._scene_frame)

    def window_pixels(self) -> int:
        return self._camera.image_width * self._camera.image_height

    def fly_to(self, target: View) -> None:
        """Smoothly; a newer flight takes over."""
        with self._lock:
            self._flights += 1
            flight = self._flights
        start = self.view()
        for step in range(1, STEPS + 1):
            with self._lock:
                if flight != self._flights:
                    return
                self._place(between(start, target, step / STEPS))
            time.sleep(FLIGHT_S / STEPS)

    def stand_at(self, target: View) -> None:
        """At once."""
        with self._lock:
            self._flights += 1
            self._place(target)

    def _place(self, view: View) -> None:
        with self._client.atomic():
            self._camera.up_direction = np.array(UP)
            self._camera.position = view.position
            self._camera.look_at = view.look_at
            self._camera.fov = view.fov_rad
        self._client.flush()


def view_along(c2w_viewer: Array, fov_rad: float, reach: float) -> View:
    """The view of a pose [3, 4], turning about a point at `reach` in front of it."""
    position = c2w_viewer[:, 3]
    return View(position, position - c2w_viewer[:, 2] * reach, fov_rad)
