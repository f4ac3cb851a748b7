"""One frame, or two of the same view, become what stands in the window: its picture, and its depth for the overlays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.rendering.types import Frame
from adaptive_nerf.viewer.comparing import Comparison, difference, halves, of_size, split
from adaptive_nerf.viewer.display import Bools, DisplaySettings, Shown, depth_range_m, hidden_pixels, shown

FARTHEST_UNITS = 167.0  # the browser's depth ends there
DEPTH_STEP_UNITS = 256e-5  # a step of the browser's second byte: the last one stays 0, and the file small
SLACK_M = 1.5  # a surface is rough, and marks stand on it: it hides only what lies so far behind
WIDEST_DEPTH = 400  # pixels; it only hides overlays, so half the picture's size will do


@dataclass(frozen=True)
class Look:
    """How the frames are shown."""

    settings: DisplaySettings = field(default_factory=DisplaySettings)
    comparison: Comparison = Comparison.OFF
    edge: float = 0.5  # of the width: the other picture lies left of it


def composed(frame: Frame, other: Frame | None, look: Look, scene_frame: SceneFrame, n_experts: int) -> Shown:
    """`other` is what the frame is compared with: before, or another checkpoint."""
    if other is None or look.comparison is Comparison.OFF:
        return shown(frame, look.settings, scene_frame, n_experts)
    settings = look.settings
    if settings.depth_range_m is None and frame.depth_m is not None:  # both in the same colours
        found = depth_range_m(frame.depth_m, hidden_pixels(frame, settings.expert_alone))
        settings = replace(settings, depth_range_m=found)
    main = shown(frame, settings, scene_frame, n_experts)
    before = shown(other, settings, scene_frame, n_experts)
    width, height = frame.camera.width, frame.camera.height
    rgb = of_size(before.rgb, width, height)
    if look.comparison is Comparison.SPLIT:
        hidden = halves(of_size(before.hidden, width, height), main.hidden, look.edge)
        return replace(main, rgb=split(rgb, main.rgb, look.edge), hidden=hidden)
    picture, legend = difference(rgb, main.rgb)
    return replace(main, rgb=picture, legend=legend)


def seen_at(frame: Frame, other: Frame | None, look: Look, share: float) -> Frame:
    """Which of both stands in the window there, at a share of its width."""
    is_other = look.comparison is Comparison.SPLIT and share < look.edge
    return other if is_other and other is not None else frame


def depth_in_window(frame: Frame, other: Frame | None, look: Look) -> npt.NDArray[np.float32] | None:
    """The depth of what stands in the window, metres. [h, w]"""
    if look.comparison is not Comparison.SPLIT or frame.depth_m is None or other is None or other.depth_m is None:
        return frame.depth_m
    return halves(of_size(other.depth_m, frame.camera.width, frame.camera.height), frame.depth_m, look.edge)


def overlay_depth(depth_m: npt.NDArray[np.float32] | None, hidden: Bools,
                  metres_per_unit: float) -> npt.NDArray[np.float32] | None:
    """Depth in viewer units, by which the browser hides overlays behind the picture. [h, w] or coarser"""
    if depth_m is None:
        return None
    every = 2 if depth_m.shape[1] > WIDEST_DEPTH else 1
    depth_m, hidden = depth_m[::every, ::every], hidden[::every, ::every]
    behind = (np.nan_to_num(depth_m) + SLACK_M) / metres_per_unit
    units = np.where(hidden, FARTHEST_UNITS, np.clip(behind, 0, FARTHEST_UNITS))
    # A hair above the step, so that no rounding falls to the one below.
    return (np.rint(units / DEPTH_STEP_UNITS) * DEPTH_STEP_UNITS + 5e-6).astype(np.float32)
