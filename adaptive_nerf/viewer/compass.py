"""A small drawing in the corner of the page: where north is, how steeply one looks down, how long 50 m are there."""

from __future__ import annotations

import math

from adaptive_nerf.viewer.overlay_shapes import pixel_span_m, round_length_m
from adaptive_nerf.viewer.plain_words import heading_name, length
from adaptive_nerf.viewer.viewpoints import View

LONGEST_BAR_PX = 150


def compass_html(view: View, window_height_px: int, distance_m: float | None) -> str:
    """SVG from numbers alone. `distance_m` is to what stands in the middle of the picture."""
    heading = view.heading_deg()
    needle = (f'<svg width="56" height="56" viewBox="-28 -28 56 56" role="img" aria-label="compass">'
              f'<circle r="26" fill="none" stroke="#888"/><g transform="rotate({-heading:.1f})">'
              f'<polygon points="0,-22 6,4 0,0 -6,4" fill="#d62828"/>'
              f'<polygon points="0,22 6,-4 0,0 -6,-4" fill="#999"/>'
              f'<text y="-12" x="9" font-size="11" fill="currentColor">N</text></g></svg>')
    words = f"Looking {heading_name(heading)}, {_dip_words(view.dip_deg())}"
    return (f'<div style="display:flex;gap:10px;align-items:center;padding:4px 8px;font-size:13px">{needle}'
            f"<div>{words}{_bar(view, window_height_px, distance_m)}</div></div>")


def _dip_words(dip_deg: float) -> str:
    if abs(dip_deg) < 3:
        return "level"
    return f"{abs(dip_deg):.0f}° {'down' if dip_deg > 0 else 'up'}"


def _bar(view: View, window_height_px: int, distance_m: float | None) -> str:
    if distance_m is None or not math.isfinite(distance_m) or distance_m <= 0:
        return '<div style="color:#888">no scale: nothing is in the middle</div>'
    pixel_m = pixel_span_m(view.fov_rad, window_height_px, distance_m)
    bar_m = round_length_m(LONGEST_BAR_PX * pixel_m)
    return (f'<div style="margin-top:4px;width:{bar_m / pixel_m:.0f}px;border:2px solid currentColor;border-top:0;'
            f'height:6px"></div><div>{length(bar_m) if bar_m < 1 else f"{bar_m:g} m"} in the middle of the '
            f"picture</div>")
