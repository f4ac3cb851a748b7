"""Facts (nested plain dicts) as tables for people."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_facts(title: str, facts: dict[str, Any], console: Console | None = None) -> None:
    """One table; lists of rows become tables of their own below it, warnings come last."""
    console = console or Console()
    rows = {key: value for key, value in facts.items() if not _is_table(value) and key != "warnings"}
    table = Table(title=title, title_justify="left", show_header=False, title_style="bold")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(escape(_words(key)), escape(_text(value)))
    console.print(table)
    for key, value in facts.items():
        if _is_table(value):
            console.print(_rows_table(_words(key), value))
    for warning in facts.get("warnings", []):
        console.print(f"[yellow]warning:[/yellow] {escape(str(warning))}", soft_wrap=True)


def _rows_table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for key in rows[0]:
        table.add_column(_words(key), justify="right")
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    return table


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


UNITS = {"m": "m", "m2": "m²", "pct": "%", "deg": "degrees", "cm": "cm", "mib": "MiB"}


def _words(key: str) -> str:
    """`camera_span_m` -> `camera span, m`"""
    *words, last = key.split("_")
    return f"{' '.join(words)}, {UNITS[last]}" if words and last in UNITS else key.replace("_", " ")


def _text(value: Any) -> str:
    match value:
        case dict():
            return "\n".join(f"{_words(str(key))}: {_text(inner)}" for key, inner in value.items()) or "none"
        case list() | tuple():
            return ", ".join(map(_text, value)) or "none"
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
        case float():
            return f"{value:,.9g}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
