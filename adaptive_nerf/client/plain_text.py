"""Text of others, made fit for a terminal: it can neither colour it, nor move its cursor, nor hide anything."""

from collections.abc import Mapping, Sequence


def printable(text: str, most: int = 0) -> str:
    """Control and invisible characters are written out; `most` > 0 shortens."""
    safe = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return safe[:most - 1] + "…" if 0 < most < len(safe) else safe


def printable_lines(text: str) -> str:
    """The same, keeping its lines."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def error_lines(subject: str, errors: Sequence[Mapping[str, str]]) -> str:
    """What is wrong with a message, each fault on a line of its own; a single one stays on the first."""
    lines = [_error_line(error) for error in errors]
    if len(lines) == 1:
        return f"{subject}: {lines[0]}"
    return "\n".join([f"{subject}, for {len(lines)} reasons:", *(f"  {line}" for line in lines)])


def _error_line(error: Mapping[str, str]) -> str:
    field, hint = error.get("field", "").removeprefix("/"), error.get("hint", "")
    told = f"{field}: {error.get('message', '')}" if field else f"it {error.get('message', '')}"
    return printable(told + (f"; {hint}" if hint else ""))
