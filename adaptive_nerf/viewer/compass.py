"""A small drawing in the corner of the page: where north is, how steeply one looks down, how long 50 m are there."""

from __future__ import annotations

import math

from adaptive_nerf.viewer.overlay_shapes import round_length_m, window_span_m
from adaptive_nerf.viewer.plain_words import heading_name, length
from adaptive_nerf.viewer.viewpoints import View

LONGEST_BAR = 0.15  # of the window's height


def compass_html(view: View, distance_m: float | None) -> str:
    """SVG from numbers alone. `distance_m` is to what stands in the middle of the picture.

    Lengths are shares of the window's height: the browser draws 3-D with more or fewer pixels than its window has.
    """
    heading = view.heading_deg()
    needle = (f'<svg width="56" height="56" viewBox="-28 -28 56 56" role="img" aria-label="compass">'
              f'<circle r="26" fill="none" stroke="#888"/><g transform="rotate({-heading:.1f})">'
              f'<polygon points="0,-22 6,4 0,0 -6,4" fill="#d62828"/>'
              f'<polygon points="0,22 6,-4 0,0 -6,-4" fill="#999"/>'
              f'<text y="-12" x="9" font-size="11" fill="currentColor">N</text></g></svg>')
    words = f"Looking {heading_name(heading)}, {_dip_words(view.dip_deg())}"
    return (f'<div style="display:flex;gap:10px;align-items:center;padding:4px 8px;font-size:13px">{needle}'
            f"<div>{words}{_bar(view, distance_m)}</div></div>")


def _dip_words(dip_deg: float) -> str:
    if abs(dip_deg) < 3:
        return "level"
    return f"{abs(dip_deg):.0f}° {'down' if dip_deg > 0 else 'up'}"


def _bar(view: View, distance_m: float | None) -> str:
    if distance_m is None or not math.isfinite(distance_m) or distance_m <= 0:
        return '<div style="color:#888">no scale: nothing is in the middle</div>'
    window_m = window_span_m(view.fov_rad, distance_m)
    bar_m = round_length_m(LONGEST_BAR * window_m)
    told = length(bar_m) if bar_m < 1 else f"{bar_m:g} m"
    return (f'<div style="margin-top:4px;width:{100 * bar_m / window_m:.1f}vh;border:2px solid currentColor;'
            f'border-top:0;height:6px"></div><div>{told} in the middle of the picture</div>')
