"""Texts for the page: numbers with their units, and words of others made harmless.

The page draws Markdown, in which HTML counts too. Every text that came from a message, a file or a person goes through
`escaped` (Markdown) or `html.escape` (HTML) first, and then is nothing but text.
"""

from __future__ import annotations

import math
import string

LONGEST_TEXT = 200
COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


def one_line(text: object, most: int = LONGEST_TEXT) -> str:
    """Without control and invisible characters, in one line, shortened."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in str(text)).split())
    return line if len(line) <= most else line[:most - 1] + "…"


def escaped(text: object, most: int = LONGEST_TEXT) -> str:
    """As Markdown that shows exactly these characters: every ASCII punctuation mark gets its backslash."""
    return "".join(f"\\{sign}" if sign in string.punctuation else sign for sign in one_line(text, most))


def length(metres: float) -> str:
    """4 cm, 3.42 m, 128 m, 2.31 km."""
    if not math.isfinite(metres):
        return "unknown"
    size = abs(metres)
    if size < 0.995:
        return f"{metres * 100:.0f} cm"
    if size < 99.95:
        return f"{metres:.2f} m"
    return f"{metres:.0f} m" if size < 9999.5 else f"{metres / 1000:.2f} km"


def heading_name(degrees: float) -> str:
    """Of a direction, 0 north, 90 east."""
    return COMPASS[round(degrees / 45) % 8]


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
