"""A small line chart as inline SVG: readable on a phone and in print, without any script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 34, 52
MOST_TICKS = 6
CHARACTER_PX = 10.0  # of a label; a phone shows larger ones


@dataclass(frozen=True)
class Line:
    name: str
    colour: str
    points: Sequence[tuple[float, float]]  # x, y
    labels: Sequence[str] = ()  # below each point
    dashed: bool = False


@dataclass(frozen=True)
class Axes:
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.low_x) / (self.high_x - self.low_x)
        up = (y - self.low_y) / (self.high_y - self.low_y)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def chart(lines: Sequence[Line], x_name: str, y_name: str) -> str:
    lines = [line for line in lines if line.points]
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_ticks, y_ticks = ticks(0.0, max([*xs, 1e-3])), ticks(min(ys, default=0), max(ys, default=1))
    axes = Axes(0.0, max(x_ticks[-1], *xs, 1e-3), y_ticks[0], y_ticks[-1])
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
             f'aria-label="{escape(y_name)} against {escape(x_name)}">',
             *_grid(axes, x_ticks, y_ticks), *_names(lines, x_name, y_name)]
    for line in lines:
        parts += _drawn(line, axes)
    return "\n".join([*parts, "</svg>"])


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`."""
    span = max(high - low, 1e-6)
    raw = span / (MOST_TICKS - 1)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _grid(axes: Axes, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
    parts = []
    for y in y_ticks:
        left, down = axes.place(axes.low_x, y)
        parts += [f'<line class="grid" x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>',
                  f'<text x="{left - 8:.1f}" y="{down + 5:.1f}" text-anchor="end">{y:g}</text>']
    for x in x_ticks:
        across, down = axes.place(x, axes.low_y)
        parts += [f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{down:.1f}" y2="{down + 5:.1f}"/>',
                  f'<text x="{across:.1f}" y="{down + 21:.1f}" text-anchor="middle">{x:g}</text>']
    return parts


def _names(lines: Sequence[Line], x_name: str, y_name: str) -> list[str]:
    parts = [f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>',
             f'<text x="4" y="16">{escape(y_name)}</text>']
    right = float(WIDTH - RIGHT)
    for line in reversed(lines):
        left = right - CHARACTER_PX * len(line.name)
        parts += [f'<text x="{left:.1f}" y="16" class="key">{escape(line.name)}</text>',
                  f'<line x1="{left - 28:.1f}" x2="{left - 6:.1f}" y1="11" y2="11" {_stroke(line)}/>']
        right = left - 44
    return parts


def _drawn(line: Line, axes: Axes) -> list[str]:
    places = [axes.place(x, y) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" {_stroke(line)}/>']
    if not line.dashed:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{line.colour}"/>' for x, y in places]
    for (x, y), label in zip(places, line.labels, strict=False):
        anchor = "end" if x > WIDTH - RIGHT - 40 else "start" if x < LEFT + 40 else "middle"
        parts.append(f'<text class="point" x="{x:.1f}" y="{y + 22:.1f}" text-anchor="{anchor}">{escape(label)}</text>')
    return parts


def _stroke(line: Line) -> str:
    return f'stroke="{line.colour}" stroke-width="2.5"' + (' stroke-dasharray="6 5"' if line.dashed else "")
