"""What every picture-maker agrees on: the Frame it makes, and the Renderer that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.cameras import Camera


class Output(StrEnum):
    """The channels that can be asked for; each is the name of a field of Frame."""

    RGB = "rgb"
    DEPTH = "depth_m"
    OPACITY = "opacity"
    NORMAL = "normal"
    EXPERT = "expert_id"


class Quality(IntEnum):
    """The rungs of progressive rendering, coarse to fine. A rung makes its frame at `scale` of the camera's size."""

    DRAFT = 0
    FAST = 1
    FULL = 2

    @property
    def scale(self) -> float:
        return (0.25, 0.5, 1.0)[self]


class RenderCancelled(Exception):
    """A newer picture is wanted: this one was given up between two chunks."""


@dataclass(frozen=True)
class Frame:
    """One picture, in host memory. Channels that were not asked for are None."""

    camera: Camera  # as rendered: its size is that of the channels
    model_version: str
    quality: Quality
    rgb: npt.NDArray[np.float32] | None = None  # [h, w, 3] sRGB, 0 to 1
    depth_m: npt.NDArray[np.float32] | None = None  # [h, w] metres along the optical axis, NaN where nothing
    opacity: npt.NDArray[np.float32] | None = None  # [h, w] 0 to 1
    normal: npt.NDArray[np.float32] | None = None  # [h, w, 3] in camera space (RUB), unit or 0 where nothing
    expert_id: npt.NDArray[np.int16] | None = None  # [h, w] the expert that weighs most, -1 where none

    def only(self, outputs: frozenset[Output]) -> Frame:
        dropped = {output.value: None for output in Output if output not in outputs}
        return replace(self, **dropped)  # type: ignore[arg-type]


def never_cancelled() -> bool:
    return False


class Renderer(Protocol):
    def render(self, camera: Camera, outputs: frozenset[Output], quality: Quality = Quality.FULL,
               cancelled: Callable[[], bool] = never_cancelled) -> Frame:
        """Make one picture. `cancelled` is asked before every chunk; if it says yes, RenderCancelled is raised."""
        ...
