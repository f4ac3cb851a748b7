"""While a flight is absorbed, a renderer that leaves most of the machine to it: fine pictures come afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.rendering.types import Frame, Output, Quality, RenderCancelled, never_cancelled
from adaptive_nerf.viewer.backend import SoloRenderer

LOOK_AGAIN_S = 0.05


@dataclass(frozen=True)
class Considerate:
    """`learning` says whether steps are being taken at the moment: then full quality waits. `looked` is told how many
    seconds each picture took."""

    renderer: SoloRenderer
    learning: Callable[[], bool]
    looked: Callable[[float], None]

    def only(self, experts: Collection[int]) -> Considerate:
        return Considerate(self.renderer.only(experts), self.learning, self.looked)

    @property
    def memory_was_short(self) -> bool:
        return self.renderer.memory_was_short

    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        while quality is Quality.FULL and self.learning():
            if cancelled():
                raise RenderCancelled
            time.sleep(LOOK_AGAIN_S)
        began = time.monotonic()
        try:
            return self.renderer.render(camera, outputs, quality, cancelled)
        finally:
            self.looked(time.monotonic() - began)
