"""Bits of HTML for the page's panels. Words of others come in through `safe` alone."""

from __future__ import annotations

import html
from enum import StrEnum

from adaptive_nerf.viewer.plain_words import LONGEST_TEXT, one_line


class Light(StrEnum):
    """A dot in front of a state, as on a panel of lamps; its colour never stands alone, words follow."""

    GOOD = "#2b8a3e"
    BUSY = "#1c7ed6"
    CARE = "#e8890c"
    BAD = "#d62828"
    OFF = "#868e96"


def safe(text: object, most: int = LONGEST_TEXT) -> str:
    """Any text as nothing but text."""
    return html.escape(one_line(text, most))


def swatch(colour: tuple[int, int, int]) -> str:
    """A patch of a colour, before its name."""
    return f'<span style="color:rgb{colour}">■</span>'


def dot(light: Light) -> str:
    return f'<span style="color:{light.value}">●</span>'


def block(content: str) -> str:
    """With the margins and the size that the page's own words have."""
    return f'<div style="padding:4px 12px;font-size:14px;line-height:1.45;overflow-wrap:anywhere">{content}</div>'
