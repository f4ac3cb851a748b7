"""What a click means: what the model shows there, and the survey's ground where hardly any photo looks."""

from __future__ import annotations

from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.rays import camera_rays
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.rendering.types import Frame
from adaptive_nerf.viewer.ground import Ground, ground_of
from adaptive_nerf.viewer.picking import Picked, pick, pixel_at
from adaptive_nerf.viewer.witnesses import FEW, Witnesses

LOW_M = 5.0  # above the survey's ground: higher things that few photos see are houses or trees, and stay
BESIDE_M = 5.0  # ground that is known so near is known here


class Picker:
    def __init__(self, scene_frame: SceneFrame, witnesses: Witnesses):
        self.witnesses = witnesses
        self._frame = scene_frame
        self._points: Array | None = None
        self._ground: Ground | None = None

    def learn_survey(self, points_enu_m: Array) -> None:
        """Points [n, 3], as soon as they are read."""
        self._points = points_enu_m

    @property
    def ground(self) -> Ground | None:
        """Told by the points when it is first asked for, so that the page's first picture does not wait for it."""
        points = self._points  # another thread may be here
        if points is not None:
            self._ground, self._points = ground_of(points), None
        return self._ground

    def pick(self, frame: Frame, u: float, v: float) -> Picked | None:
        """What is seen at (u, v), 0 to 1 from the picture's upper left corner; None where nothing is."""
        shown = pick(frame, u, v, self._frame)
        ground = self.ground
        if ground is None or (shown is not None and not self._is_doubtful(shown, ground)):
            return shown
        return self._on_ground(frame, u, v, ground) or shown

    def _is_doubtful(self, shown: Picked, ground: Ground) -> bool:
        return (shown.enu_m[2] - ground.height_at(shown.enu_m) < LOW_M
                and self.witnesses.count(shown.enu_m) < FEW)

    def _on_ground(self, frame: Frame, u: float, v: float, ground: Ground) -> Picked | None:
        camera = frame.camera.in_frame(FrameName.ENU, self._frame)
        ray = camera_rays(camera, pixel_at(camera, u, v)[None])
        hit = ground.hit(ray.origins[0], ray.directions[0])
        if hit is None:
            return None
        depth_m = float((hit.enu_m - camera.c2w[:, 3]) @ -camera.c2w[:, 2])
        grain_m = 1 / camera.fx if camera.is_orthographic else depth_m / camera.fx
        return Picked(hit.enu_m, depth_m, grain_m, hit.away_m)


def survey_words(survey_m: float) -> str:
    """Markdown, of a place that was taken for the survey's ground, which is known so far from there."""
    if survey_m < BESIDE_M:
        return "**Nothing sure is shown here.** It is taken for the ground, as the survey's points have it."
    return (f"**Nothing sure is shown here.** It is taken for the ground, if that goes on as it is "
            f"{survey_m:.0f} m from here: it may be metres off.")
