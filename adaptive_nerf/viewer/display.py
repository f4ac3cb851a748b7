"""A rendered Frame, with all its channels, becomes the picture that is shown, and the legend that explains it.

Pure: another display mode, colour map or brightness is a new picture of the same frame, without asking the field again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from adaptive_nerf.data.expert_colours import expert_colours
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.rendering.types import Frame
from adaptive_nerf.viewer.colour_maps import ColourMap, coloured, table
from adaptive_nerf.viewer.legends import Legend, bar_of

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
NOTHING = np.array([40, 40, 46], np.uint8)  # where a channel has no value, in every mode but colour
TONE_LEVELS = 4096
MOST_NAMED_EXPERTS = 24
DARKEST_TINT = 0.4  # of an expert's colour, where the picture is black
SEEN = 0.5  # opacity from which on a pixel shows a surface


class Mode(StrEnum):
    COLOUR = "Colour"
    DEPTH = "Depth (metres)"
    OPACITY = "Opacity"
    NORMAL = "Normals"
    EXPERT = "Expert"


class Background(StrEnum):
    RENDERED = "As rendered"
    BLACK = "Black"
    GREY = "Grey"
    WHITE = "White"


BACKGROUND_BYTES = {Background.BLACK: 0, Background.GREY: 128, Background.WHITE: 255}


@dataclass(frozen=True)
class DisplaySettings:
    mode: Mode = Mode.COLOUR
    expert_alone: int | None = None  # the others are hidden
    colour_map: ColourMap = ColourMap.VIRIDIS
    exposure_stops: float = 0.0
    gamma: float = 1.0
    depth_range_m: tuple[float, float] | None = None  # None: what the picture holds
    background: Background = Background.RENDERED


@dataclass(frozen=True)
class Shown:
    rgb: Bytes  # [h, w, 3]
    legend: Legend
    hidden: Bools  # [h, w] pixels that show no surface
    missing: str = ""  # why the mode could not be shown, in plain words


def shown(frame: Frame, settings: DisplaySettings, scene_frame: SceneFrame, n_experts: int) -> Shown:
    """The picture of a frame under these settings."""
    hidden = hidden_pixels(frame, settings.expert_alone)
    match settings.mode:
        case Mode.DEPTH if frame.depth_m is not None:
            picture, legend = _depth(frame.depth_m, settings, hidden)
        case Mode.OPACITY if frame.opacity is not None:
            picture = coloured(frame.opacity, 0, 1, settings.colour_map)
            legend = Legend("Opacity", bar_of(table(settings.colour_map)), "0 % empty", "100 % solid")
        case Mode.NORMAL if frame.normal is not None:
            picture, legend = _normal(frame, frame.normal, scene_frame, hidden)
        case Mode.EXPERT if frame.expert_id is not None:
            picture, legend = _expert(frame.expert_id, frame.rgb, n_experts, hidden)
        case Mode.COLOUR if frame.rgb is not None:
            return Shown(_colour(frame, frame.rgb, settings, hidden), Legend("Colours as photographed"), hidden)
        case _:
            return Shown(np.broadcast_to(NOTHING, (*hidden.shape, 3)).copy(), Legend(settings.mode.value), hidden,
                         f"This model has no picture of “{settings.mode.value}”.")
    if settings.expert_alone is not None:
        picture = np.where(hidden[..., None], NOTHING, picture)
    return Shown(picture, legend, hidden)


def hidden_pixels(frame: Frame, expert_alone: int | None) -> Bools:
    """Where nothing is seen, or what is seen belongs to another expert. [h, w]"""
    hidden = np.zeros((frame.camera.height, frame.camera.width), bool)
    if frame.depth_m is not None:
        hidden |= ~np.isfinite(frame.depth_m)
    if frame.opacity is not None:
        hidden |= frame.opacity < SEEN
    if expert_alone is not None and frame.expert_id is not None:
        hidden |= frame.expert_id != expert_alone
    return hidden


def _colour(frame: Frame, rgb: npt.NDArray[np.float32], settings: DisplaySettings, hidden: Bools) -> Bytes:
    picture = toned(rgb, settings.exposure_stops, settings.gamma)
    alone = settings.expert_alone is not None
    if settings.background is Background.RENDERED and not alone:
        return picture
    plain = np.full(3, BACKGROUND_BYTES[settings.background]) if settings.background in BACKGROUND_BYTES else NOTHING
    share = np.ones(hidden.shape, np.float32) if frame.opacity is None else np.clip(frame.opacity, 0, 1)
    if alone:
        share = np.where(hidden, np.float32(0), share)
    mixed = picture * share[..., None] + plain * (1 - share[..., None])
    return np.rint(mixed).astype(np.uint8)


def toned(rgb: npt.NDArray[np.float32], exposure_stops: float, gamma: float) -> Bytes:
    """sRGB 0 to 1 -> bytes: brighter by `exposure_stops` (in linear light), then value ** (1 / gamma).

    By a table of 4096 levels; `toned_exactly` is what it stands for.
    """
    levels = np.rint(np.clip(np.nan_to_num(rgb), 0, 1) * (TONE_LEVELS - 1)).astype(np.uint16)
    steps = np.linspace(0, 1, TONE_LEVELS)
    return toned_exactly(steps, exposure_stops, gamma)[levels]


def toned_exactly(rgb: npt.NDArray[np.floating], exposure_stops: float, gamma: float) -> Bytes:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) * 2.0**exposure_stops
    linear = np.clip(linear, 0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(np.clip(srgb, 0, 1) ** (1 / gamma) * 255).astype(np.uint8)


def depth_range_m(depth_m: npt.NDArray[np.float32], hidden: Bools) -> tuple[float, float]:
    """Nearly all of what is seen, its ends rounded outwards to whole metres."""
    seen = depth_m[~hidden]
    if not len(seen):
        return 0.0, 1.0
    low, high = np.percentile(seen, (1, 99))
    low, high = float(np.floor(low)), float(np.ceil(high))
    return low, max(high, low + 1)


def _depth(depth_m: npt.NDArray[np.float32], settings: DisplaySettings, hidden: Bools) -> tuple[Bytes, Legend]:
    near_m, far_m = settings.depth_range_m or depth_range_m(depth_m, hidden)
    picture = coloured(depth_m, near_m, far_m, settings.colour_map)
    picture[hidden] = NOTHING
    return picture, Legend("Distance from the camera, along its axis", bar_of(table(settings.colour_map)),
                           f"{near_m:g} m", f"{far_m:g} m")


def _normal(frame: Frame, normal: npt.NDArray[np.float32], scene_frame: SceneFrame,
            hidden: Bools) -> tuple[Bytes, Legend]:
    """Told in East, North, Up, so that a flat roof has one colour from wherever it is seen."""
    axes = frame.camera.in_frame(FrameName.ENU, scene_frame).c2w[:, :3].astype(np.float32)
    picture = np.rint((normal @ axes.T * 0.5 + 0.5) * 255).clip(0, 255).astype(np.uint8)
    picture[hidden] = NOTHING
    faces = (((255, 128, 128), "faces east"), ((128, 255, 128), "faces north"), ((128, 128, 255), "faces up"),
             ((0, 128, 128), "faces west"), ((128, 0, 128), "faces south"))
    return picture, Legend("Which way a surface faces", patches=faces)


def _expert(expert_id: npt.NDArray[np.int16], rgb: npt.NDArray[np.float32] | None, n_experts: int,
            hidden: Bools) -> tuple[Bytes, Legend]:
    """In the experts' colours, as bright as the picture is there, so that one still knows the place."""
    colours = expert_colours(max(n_experts, int(expert_id.max(initial=-1)) + 1, 1))
    picture = colours[np.clip(expert_id, 0, None)]
    if rgb is not None:
        light = DARKEST_TINT + (1 - DARKEST_TINT) * np.clip(np.nan_to_num(rgb), 0, 1).mean(-1, keepdims=True)
        picture = np.rint(picture * light).astype(np.uint8)
    picture[hidden | (expert_id < 0)] = NOTHING
    named = tuple(((int(red), int(green), int(blue)), f"expert {number}")
                  for number, (red, green, blue) in enumerate(colours[:MOST_NAMED_EXPERTS]))
    return picture, Legend("Which expert shows it", patches=named)
