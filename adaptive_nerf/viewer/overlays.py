"""What is drawn in 3-D over the picture: photos as little cameras, expert boxes, points, north and scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
import viser

from adaptive_nerf.data.expert_colours import expert_colours
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.boxes import Box
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.viewer.overlay_shapes import (
    box_edges,
    box_top_centre,
    north_arrow,
    round_length_m,
    scale_bar,
    split_colour,
    thinned,
)
from adaptive_nerf.viewer.viewpoints import browser_wxyz

FRUSTUM_UNITS = 1.1
CLEAR_UNITS = 4.0  # round somebody who stands where a photo was taken
INK = (235, 235, 235)
BAR_SHARE = 0.3  # of the photographed width


class Layer(StrEnum):
    TRAIN = "Photos learned"
    VAL = "Check photos"
    FLIGHTS = "Later flights"
    EXPERTS = "Expert boxes"
    POINTS = "Survey points"
    NORTH = "North, scale"

    @property
    def hint(self) -> str:
        photos = "Each little camera is a photo: click one to fly there."
        return {Layer.TRAIN: f"What the model was made from. {photos}",
                Layer.VAL: f"Kept out of the training, to check the model with. {photos}",
                Layer.FLIGHTS: f"Taken later, to be learned in the tab Adapt. {photos}",
                Layer.EXPERTS: "Each part of the area has an expert; its box has its colour.",
                Layer.POINTS: "Places that were seen in several photos.",
                Layer.NORTH: "Arrow and bar lie on the ground."}[self]


class Overlays:
    """Of one client. `on_photo` is called with the photo whose little camera was clicked."""

    def __init__(self, api: viser.SceneApi, on_photo: Callable[[Photo], None]):
        self._api, self._on_photo = api, on_photo
        self._parents: dict[Layer, viser.FrameHandle] = {}
        self._frusta: list[viser.CameraFrustumHandle] = []
        self._wanted = {layer: layer is not Layer.EXPERTS for layer in Layer}

    def show(self, layer: Layer, visible: bool) -> None:
        """Also of a layer that comes later."""
        self._wanted[layer] = visible
        if layer in self._parents:
            self._parents[layer].visible = visible

    def is_shown(self, layer: Layer) -> bool:
        return self._wanted[layer]

    def _parent(self, layer: Layer) -> str:
        name = f"/{layer.name.lower()}"
        self._parents[layer] = self._api.add_frame(name, show_axes=False, visible=self._wanted[layer])
        return name

    def add_photos(self, scene: Scene) -> None:
        flights = sorted(scene.flights)
        later = [photo for tag in flights for photo in scene.flights[tag]]
        for layer, photos in ((Layer.TRAIN, list(scene.split("train"))), (Layer.VAL, list(scene.split("val"))),
                              (Layer.FLIGHTS, later)):
            if photos:
                parent = self._parent(layer)
                for index in thinned(len(photos)):
                    self._add_frustum(parent, photos[index], scene, flights)

    def _add_frustum(self, parent: str, photo: Photo, scene: Scene, flights: list[str]) -> None:
        camera = photo.camera(scene.frame.metres_per_unit).in_frame(FrameName.VIEWER, scene.frame)
        frustum = self._api.add_camera_frustum(
            f"{parent}/{photo.photo_id}", fov=2 * math.atan(camera.height / (2 * camera.fy)),
            aspect=camera.width / camera.height, scale=FRUSTUM_UNITS, thickness=1.5, thickness_units="screen",
            color=split_colour(photo.split, flights), wxyz=browser_wxyz(camera.c2w), position=camera.c2w[:, 3],
            cast_shadow=False, receive_shadow=False)
        frustum.on_click(lambda _, photo=photo: self._on_photo(photo))
        self._frusta.append(frustum)

    def clear_round(self, place_viewer: Array | None) -> None:
        """Hide the little cameras about a place [3], which one would see from inside; None: all may be seen again."""
        for frustum in self._frusta:
            frustum.visible = place_viewer is None or bool(
                np.linalg.norm(frustum.position - place_viewer) > CLEAR_UNITS)

    def add_experts(self, boxes: Sequence[Box], scene_frame: SceneFrame) -> None:
        """Boxes in scene units; those drawn before are replaced."""
        parent = self._parent(Layer.EXPERTS)
        colours = expert_colours(len(boxes))
        for expert, box in enumerate(boxes):
            red, green, blue = (int(channel) for channel in colours[expert])
            self._api.add_line_segments(f"{parent}/{expert}", box_edges(box, scene_frame), (red, green, blue),
                                        thickness=2.5, thickness_units="screen")
            self._api.add_label(f"{parent}/{expert}/name", f"Expert {expert}",
                                position=box_top_centre(box, scene_frame), anchor="bottom-center")

    def add_points(self, points_viewer: Array, colours: np.ndarray, point_units: float = 0.25) -> None:
        """Points [n, 3] with sRGB bytes [n, 3]."""
        parent = self._parent(Layer.POINTS)
        self._api.add_point_cloud(f"{parent}/all", points_viewer.astype(np.float32), colours, point_size=point_units,
                                  point_shape="circle", point_shading="flat", precision="float32")

    def add_north_and_scale(self, corner: Array, width_units: float, metres_per_unit: float) -> None:
        """On the ground, at the south-west corner [3] of what was photographed."""
        parent = self._parent(Layer.NORTH)
        bar_m = round_length_m(max(width_units * metres_per_unit * BAR_SHARE, 1e-3))
        bar, arrow = bar_m / metres_per_unit, max(width_units * 0.12, 1.0)
        foot = corner + np.array([arrow * 0.3, arrow * 0.4, 0.0])
        lines = np.concatenate([scale_bar(corner, bar, bar * 0.08), north_arrow(foot, arrow)])
        self._api.add_line_segments(f"{parent}/lines", lines, INK, thickness=3.0, thickness_units="screen")
        self._api.add_label(f"{parent}/bar", f"{bar_m:g} m", position=corner + np.array([bar / 2, 0, bar * 0.1]),
                            anchor="bottom-center")
        self._api.add_label(f"{parent}/north", "N", position=foot + np.array([0, arrow * 1.1, 0]),
                            anchor="bottom-center")
