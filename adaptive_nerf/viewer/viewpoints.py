"""Where one looks from: the browser's camera as ours, the first view of a scene, a view as text for a link.

The browser tells its camera in the VIEWER frame, as a quaternion (w, x, y, z) with RDF axes, a vertical field of view
in radians, and the size of its window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
from scipy.spatial.transform import Rotation

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import RUB_FROM_RDF, FrameName, SceneFrame
from adaptive_nerf.geometry.types import Array

START_FIELD_OF_VIEW_DEG, START_DIP_DEG = 50.0, 48.0
START_ROOM = 1.1  # around it
BESIDE_THE_PANEL = 0.3  # of half the window's height
MOST_PLACES_PERCENT = (5, 95)
UP = (0.0, 0.0, 1.0)
LONGEST_LINK, FARTHEST_PLACE_UNITS = 2000, 10_000.0
START_FARTHEST_UNITS = 104.0  # the browser's depth ends at 167 units: overlays beyond it are hidden


@dataclass(frozen=True)
class View:
    """In the VIEWER frame."""

    position: Array  # [3]
    look_at: Array  # [3]
    fov_rad: float  # vertical

    def heading_deg(self) -> float:
        """0 looks north, 90 east."""
        east, north, _ = self.look_at - self.position
        return math.degrees(math.atan2(east, north)) % 360

    def dip_deg(self) -> float:
        """0 looks level, 90 straight down."""
        east, north, up = self.look_at - self.position
        return math.degrees(math.atan2(-up, math.hypot(east, north)))


def camera_of(wxyz: Array, position: Array, fov_rad: float, size: tuple[int, int], scene_frame: SceneFrame) -> Camera:
    """Our camera for the browser's: a picture of `size` (width, height) that fills its window."""
    width, height = size
    quaternion = np.asarray(wxyz, np.float64)
    rotation = Rotation.from_quat(quaternion, scalar_first=True).as_matrix() @ RUB_FROM_RDF
    focal = height / (2 * math.tan(fov_rad / 2))
    c2w = np.concatenate([rotation, np.asarray(position, np.float64)[:, None]], axis=1)
    return Camera(width, height, focal, focal, width / 2, height / 2, c2w, FrameName.VIEWER,
                  scene_frame.units_to_metres(FrameName.VIEWER))


def browser_wxyz(c2w_viewer: Array) -> Array:
    """The quaternion, with RDF axes, of a pose [3, 4] in the VIEWER frame."""
    return Rotation.from_matrix(c2w_viewer[:, :3] @ RUB_FROM_RDF).as_quat(scalar_first=True)


def picture_size(aspect: float, pixels: int) -> tuple[int, int]:
    """Width and height of about so many pixels in all, both even, in the window's shape."""
    aspect = min(max(aspect, 0.2), 5.0)
    width = math.sqrt(pixels * aspect)
    return max(2, 2 * round(width / 2)), max(2, 2 * round(width / aspect / 2))


def start_view(places: Array, ground_up: float) -> View:
    """From the south, looking down over where most photos look, which stands left of the window's middle: the panel
    hides what is right of it. Places [n, 2 or 3] on the ground and its height in viewer units."""
    fov = math.radians(START_FIELD_OF_VIEW_DEG)
    low, high = np.percentile(places[:, :2], MOST_PLACES_PERCENT, axis=0)
    radius = max(float(np.linalg.norm(high - low)) / 2, 1.0)
    distance = min(START_ROOM * radius / math.tan(fov / 2), START_FARTHEST_UNITS)
    east, north = (low + high) / 2
    middle = np.array([east + distance * math.tan(fov / 2) * BESIDE_THE_PANEL, north, ground_up])
    dip = math.radians(START_DIP_DEG)
    return View(middle + distance * np.array([0.0, -math.cos(dip), math.sin(dip)]), middle, fov)


def between(first: View, last: View, share: float) -> View:
    """On the way from one view to another: share 0 is the first, 1 the last; begins and ends gently."""
    eased = share * share * (3 - 2 * share)

    def mixed(a: Array, b: Array) -> Array:
        return a + (b - a) * eased

    return View(mixed(first.position, last.position), mixed(first.look_at, last.look_at),
                first.fov_rad + (last.fov_rad - first.fov_rad) * eased)


def link_query(view: View) -> str:
    """The query of an address that opens the page at this view."""
    def told(values: Array) -> str:
        return ",".join(f"{value:.3f}" for value in values)

    return urlencode({"initialCameraPosition": told(view.position), "initialCameraLookAt": told(view.look_at),
                      "initialCameraUp": "0,0,1", "initialCameraFov": f"{view.fov_rad:.4f}"}, safe=",")


def view_of_link(text: str) -> View | None:
    """The view of a link, or of its query alone, that somebody pasted; None where it holds none."""
    text = text.strip()[:LONGEST_LINK]
    try:
        query = urlsplit(text).query or text.lstrip("?")
        found = parse_qs(query, max_num_fields=20)
        position, look_at = (np.array([float(value) for value in found[f"initialCamera{name}"][0].split(",")])
                             for name in ("Position", "LookAt"))
        fov = float(found.get("initialCameraFov", [math.radians(START_FIELD_OF_VIEW_DEG)])[0])
    except (KeyError, ValueError):
        return None
    numbers = np.array([*position, *look_at, fov])
    good = position.shape == look_at.shape == (3,) and bool((np.abs(numbers) < FARTHEST_PLACE_UNITS).all())
    return View(position, look_at, min(max(fov, 0.1), 2.5)) if good and np.any(position != look_at) else None
