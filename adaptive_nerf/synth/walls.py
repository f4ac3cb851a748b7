"""Walls: plaster or brick, rows of windows, a door, a plinth, streaks of rain."""

from __future__ import annotations

import numpy as np

from adaptive_nerf.synth.dwellings import STYLE_BRICK, STYLE_CHURCH, STYLE_FLATS, STYLE_HALL, STYLE_SHED
from adaptive_nerf.synth.noise import Floats, visible
from adaptive_nerf.synth.palette import colours
from adaptive_nerf.synth.patch import Patch
from adaptive_nerf.synth.randomness import hash01

STOREY_M = 2.8
# by style: how far windows stand apart, their width, sill and head above the floor
WINDOWS = np.array([[2.9, 1.25, 0.95, 2.25], [2.7, 1.1, 0.9, 2.2], [3.4, 2.2, 0.75, 2.3],
                    [99.0, 0.8, 0.9, 1.5], [5.0, 3.6, 2.0, 3.0], [4.2, 1.3, 1.5, 6.0]], np.float32)
DOORS = colours("#5b2b22", "#23402f", "#2b3c57", "#6b4a2c", "#d9d5cc").astype(np.float32)
SHUTTERS = colours("#6f7f6a", "#7b3b30", "#4f6270", "#86715a").astype(np.float32)
FRAME = np.array([0.74, 0.73, 0.70], np.float32)


def wall(patch: Patch) -> Floats:
    along, up, style = patch.uv[:, 0], patch.uv[:, 1], patch.traits[:, 2].astype(np.int32)
    colour = _masonry(patch, style)
    spacing, width, sill, head = WINDOWS[style].T
    count = np.maximum(np.floor(patch.traits[:, 0] / spacing), 1)
    pitch = patch.traits[:, 0] / count
    column = np.floor(along / pitch)
    sideways = np.abs(along - (column + np.float32(0.5)) * pitch)
    tall = (style == STYLE_CHURCH) | (style == STYLE_HALL)
    floor = np.where(tall, 0, np.floor(up / STOREY_M))
    height = np.where(tall, up, up - floor * STOREY_M)
    has_row = (floor >= 0) & ((floor + 1) * STOREY_M - 0.4 < patch.traits[:, 1]) & (up > 0)
    has_row &= (style != STYLE_SHED) & (hash01(column, floor, patch.salt) > 0.07)
    tallest = np.where(tall, np.minimum(head, patch.traits[:, 1] - 0.8), head)
    _windows(colour, patch, (sideways, height, has_row), (width, sill, tallest, column, floor))
    _door(colour, patch, column == np.floor(count * 0.5), (sideways, up, style))
    return colour


def _masonry(patch: Patch, style: np.ndarray) -> Floats:
    """The bare wall."""
    along, up = patch.uv[:, 0], patch.uv[:, 1]
    streaks = patch.salt_noise(along, up * np.float32(0.18), 0.09)
    blotches = patch.salt_noise(along + 17, up, 0.3)
    brick = style == STYLE_BRICK
    course = np.floor(up / 0.09)
    bricks = hash01(np.floor(along / 0.26 + 0.5 * (course % 2)), course, patch.salt) - 0.5
    shade = 1 + brick * visible(0.2, patch.footprint_m) * 0.5 * bricks
    shade = shade * np.exp(np.where(brick, 0.13, 0.06) * blotches + 0.06 * streaks)
    shade *= 1 - 0.22 * np.clip(1 - up / 0.9, 0, 1)  # splashes from the ground
    colour = patch.tint * shade[:, None]
    plinth = (up < 0.45) & (style != STYLE_SHED)
    colour[plinth] = colour[plinth] * np.float32(0.35) + np.float32(0.12)
    bands = (style == STYLE_FLATS) & (np.abs(up - np.round(up / STOREY_M) * STOREY_M) < 0.16)
    colour[bands] *= np.float32(0.72)
    ribs = (style == STYLE_HALL) & (np.abs(along / 1.2 - np.round(along / 1.2)) < 0.1)
    colour[ribs] *= np.float32(0.85)
    return colour


def _windows(colour: Floats, patch: Patch, where: tuple, shape: tuple) -> None:
    """Panes in white frames, shutters on some houses. Paints into `colour`."""
    sideways, height, has_row = where
    width, sill, head, column, floor = shape
    opening = has_row & (sideways < width / 2 + 0.09) & (height > sill - 0.09) & (height < head + 0.09)
    pane = has_row & (sideways < width / 2) & (height > sill) & (height < head) & (sideways > 0.035)
    shuttered = has_row & (hash01(patch.salt, patch.salt, 11) < 0.35) & (patch.traits[:, 2] < 2)
    shuttered &= ~opening & (sideways < width / 2 + 0.58) & (height > sill - 0.05) & (height < head + 0.05)
    tone = hash01(column, floor, patch.salt + 5)
    colour[shuttered] = SHUTTERS[(hash01(patch.salt, patch.salt, 12)[shuttered] * len(SHUTTERS)).astype(int)]
    colour[opening] = FRAME
    glass = np.array([0.045, 0.060, 0.078], np.float32) * (0.6 + 1.1 * tone[pane, None])
    curtain = ((tone[pane] > 0.72) & (height[pane] > sill[pane] + 0.35))[:, None]
    colour[pane] = np.where(curtain, np.float32(0.26), glass)


def _door(colour: Floats, patch: Patch, middle: np.ndarray, where: tuple) -> None:
    sideways, up, style = where
    front = middle & (patch.traits[:, 3] == 0) & (style != STYLE_HALL)
    front |= (patch.traits[:, 3] == 1) & (style == STYLE_SHED)  # a garage opens at its narrow end
    half = np.where(style == STYLE_SHED, np.float32(1.2), np.float32(0.6))
    surround = front & (sideways < half + 0.1) & (up < 2.25) & (up > 0)
    leaf = front & (sideways < half) & (up < 2.12) & (up > 0)
    colour[surround] = FRAME
    colour[leaf] = DOORS[(hash01(patch.salt, patch.salt, 13)[leaf] * len(DOORS)).astype(int)]
