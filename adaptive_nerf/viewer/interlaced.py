"""A picture of half the size is a quarter of the full one: so the full one needs only the other three quarters.

Each quarter is a picture of half the size whose camera is shifted by a pixel of the full one, so its rays are exactly
those of every other pixel in every other row.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.models.surface import normals_from_depth
from adaptive_nerf.rendering.types import Frame, Output, Quality, never_cancelled
from adaptive_nerf.viewer.backend import SoloRenderer

QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # down, across, in pixels of the full picture
MOST_KEPT = 16  # pictures of half the size: one a person, and some to spare


class Interlaced:
    """A Renderer over another one: the same pictures. Several threads may use it."""

    def __init__(self, renderer: SoloRenderer):
        self._renderer = renderer
        self._lock = threading.Lock()
        self._halves: OrderedDict[int, tuple[Camera, frozenset[Output], Frame]] = OrderedDict()  # by the camera's id

    def only(self, experts: Collection[int]) -> Interlaced:
        return Interlaced(self._renderer.only(experts))

    @property
    def memory_was_short(self) -> bool:
        return self._renderer.memory_was_short

    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        if quality is Quality.DRAFT or camera.width % 2 or camera.height % 2:
            return self._renderer.render(camera, outputs, quality, cancelled)
        if quality is Quality.FAST:
            half = self._quarter(camera, outputs, QUARTERS[0], cancelled)
            self._keep(camera, outputs, half)
            return half
        half = self._kept(camera, outputs) or self._quarter(camera, outputs, QUARTERS[0], cancelled)
        parts = [half, *(self._quarter(camera, outputs, shift, cancelled) for shift in QUARTERS[1:])]
        return woven(camera, parts, outputs)

    def _quarter(self, camera: Camera, outputs: frozenset[Output], shift: tuple[int, int],
                 cancelled: Callable[[], bool]) -> Frame:
        return self._renderer.render(shifted(camera, shift), outputs, Quality.FAST, cancelled)

    def _keep(self, camera: Camera, outputs: frozenset[Output], half: Frame) -> None:
        with self._lock:
            self._halves[id(camera)] = camera, outputs, half  # holding the camera keeps its id its own
            while len(self._halves) > MOST_KEPT:
                self._halves.popitem(last=False)

    def _kept(self, camera: Camera, outputs: frozenset[Output]) -> Frame | None:
        with self._lock:
            _, made_of, half = self._halves.pop(id(camera), (camera, outputs, None))
        return half if made_of == outputs else None


def shifted(camera: Camera, shift: tuple[int, int]) -> Camera:
    """Scaled to half its size, it sees what every other pixel of `camera` sees, from (down, across) on."""
    down, across = shift
    return replace(camera, cx=camera.cx + 0.5 - across, cy=camera.cy + 0.5 - down)


def woven(camera: Camera, parts: list[Frame], outputs: frozenset[Output]) -> Frame:
    """The full picture of its four quarters; its normals are those of neighbouring pixels of the whole."""
    channels = {name: _woven(camera, arrays) for name, arrays in _channels(parts)}
    if Output.NORMAL in outputs and Output.DEPTH in outputs:
        channels[Output.NORMAL.value] = normals_from_depth(camera, channels[Output.DEPTH.value])
    return Frame(camera, parts[0].model_version, Quality.FULL, **channels)


def _channels(parts: list[Frame]) -> Iterator[tuple[str, list[npt.NDArray]]]:
    for output in Output:
        arrays = [getattr(part, output.value) for part in parts]
        if all(array is not None for array in arrays):
            yield output.value, arrays


def _woven(camera: Camera, arrays: list[npt.NDArray]) -> npt.NDArray:
    whole = np.empty((camera.height, camera.width, *arrays[0].shape[2:]), arrays[0].dtype)
    for (down, across), array in zip(QUARTERS, arrays, strict=True):
        whole[down::2, across::2] = array
    return whole
