"""What the colours of the picture mean: a bar with its ends and unit, or named patches. HTML from our own words."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STOPS = 12
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    title: str
    bar: tuple[Colour, ...] = ()  # low to high
    low: str = ""
    high: str = ""
    patches: tuple[tuple[Colour, str], ...] = ()


def bar_of(colours: npt.NDArray[np.uint8]) -> tuple[Colour, ...]:  # [n, 3], low to high
    """A few colours along a colour map, for the page to blend between."""
    picks = np.linspace(0, len(colours) - 1, STOPS).round().astype(int)
    return tuple((int(red), int(green), int(blue)) for red, green, blue in colours[picks])


def legend_html(legend: Legend) -> str:
    parts = [f'<div style="font-weight:600;margin-bottom:2px">{html.escape(legend.title)}</div>']
    if legend.bar:
        stops = ",".join(map(_css, legend.bar))
        parts.append(f'<div style="height:12px;border-radius:3px;background:linear-gradient(to right,{stops})"></div>'
                     f'<div style="display:flex;justify-content:space-between"><span>{html.escape(legend.low)}</span>'
                     f"<span>{html.escape(legend.high)}</span></div>")
    if legend.patches:
        parts.append('<div style="display:flex;flex-wrap:wrap;gap:2px 12px">' + "".join(
            f'<span style="white-space:nowrap"><span style="display:inline-block;width:12px;height:12px;'
            f'border-radius:2px;vertical-align:-1px;margin-right:4px;background:{_css(colour)}"></span>'
            f"{html.escape(name)}</span>" for colour, name in legend.patches) + "</div>")
    return "".join(parts)


def _css(colour: Colour) -> str:
    return "rgb({},{},{})".format(*colour)
