"""The pieces that a report is put together from. Whatever comes from outside goes through them, and is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

ABSENT = "–"
STYLE = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --band: #f4f6f9; --neutral: #0b6bcb;
  --fitted: #b4560a; --good: #16713a; --bad: #b3261e; --amber: #b7791f; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 76rem; color: var(--ink); background: white;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.4rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; overflow-wrap: anywhere; }
.photo h3 { margin: 0; } p { max-width: 46rem; margin: .4rem 0; }
.soft, figcaption { color: var(--soft); } .mark { font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.tile { border: 1px solid var(--line); border-left: 5px solid var(--edge, var(--soft)); border-radius: .4rem;
  padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.warning { border-left: 5px solid var(--amber); background: #fdf8ec;
  padding: .5rem .9rem; margin: .5rem 0; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; background: var(--band); } tbody th { background: none; } th:first-child { text-align: left; }
thead tr:first-child th[colspan] { text-align: center; border-left: 1px solid var(--line); }
tr.base td, tr.base th { color: var(--soft); font-weight: normal; }
.up { color: var(--good); } .down { color: var(--bad); }
.chart { width: 100%; max-width: 46rem; height: auto; font-size: 15px; fill: var(--ink); }
.chart .grid { stroke: var(--line); } .chart .point { font-size: 13px; fill: var(--soft); }
.photo { margin: 1.1rem 0; break-inside: avoid; border-top: 1px solid var(--line); padding-top: .8rem; }
.strip { display: grid; grid-template-columns: repeat(var(--pictures, 4), 1fr); gap: .5rem; margin-top: .4rem; }
figure { margin: 0; } figure img { width: 100%; display: block; border-radius: .2rem; background: var(--band); }
figcaption { font-size: .85rem; line-height: 1.3; padding-top: .2rem; }
.ramp { max-width: 24rem; margin: .6rem 0; } .ramp div { height: .8rem; border-radius: .2rem;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.ramp span { display: flex; justify-content: space-between; font-size: .85rem; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .6rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; max-width: 44rem; }
@media (max-width: 40rem) { body { padding: .8rem; } .strip { grid-template-columns: 1fr 1fr; }
  th, td { padding: .35rem .45rem; font-size: .9rem; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; } .tile b { font-size: 1.4rem; }
  .chart { font-size: 19px; } .chart .point { font-size: 17px; } }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } h2 { break-after: avoid; }
  .wide { overflow: visible; } th, td { padding: .2rem .35rem; font-size: 9pt; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """One file; it is forbidden to load anything, and holds no script."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return "\n".join([
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", "</head>", "<body>", *body, "</body>", "</html>",
        ""])


@dataclass(frozen=True)
class Cell:
    text: str
    kind: str = ""  # a class of STYLE


def table(caption: str, heads: Sequence[Sequence[tuple[str, int]]], rows: Sequence[tuple[str, Sequence[Cell]]]) -> str:
    """`heads`: rows of (text, columns spanned). `rows`: a class, and the cells; the first one names the row."""
    head = "".join("<tr>" + "".join(_head(text, span) for text, span in line) + "</tr>" for line in heads)
    body = "".join(f'<tr class="{kind}">{_cells(cells)}</tr>' for kind, cells in rows)
    return (f'<p class="soft">{escape(caption)}</p><div class="wide" tabindex="0"><table><thead>{head}</thead>'
            f"<tbody>{body}</tbody></table></div>")


def _head(text: str, span: int) -> str:
    return f'<th scope="colgroup" colspan="{span}">{escape(text)}</th>' if span > 1 else \
        f'<th scope="col">{escape(text)}</th>'


def _cells(cells: Sequence[Cell]) -> str:
    first, *rest = cells
    return f'<th scope="row">{escape(first.text)}</th>' + "".join(
        f'<td class="{cell.kind}">{escape(cell.text)}</td>' for cell in rest)


def heading(text: str, level: int) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def tile(name: str, value: str, note: str, edge: str) -> str:
    return (f'<div class="tile" style="--edge: var(--{edge})">{escape(name)}<b>{escape(value)}</b>'
            f'<span class="soft">{escape(note)}</span></div>')


def definitions(entries: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries) + "</dl>"


def figure(picture: bytes, caption: str, alternative: str) -> str:
    """A PNG or JPEG, carried inside the page."""
    kind = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
    data = base64.b64encode(picture).decode()
    return (f'<figure><img alt="{escape(alternative)}" src="data:{kind};base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>")


def number(value: float | None, digits: int = 2) -> str:
    return ABSENT if value is None else f"{value:.{digits}f}"


def change(before: float | None, after: float | None, digits: int = 2) -> Cell:
    """With its sign; green where more is better and it is more."""
    if before is None or after is None:
        return Cell(ABSENT)
    difference = round(after - before, digits)
    kind = "up" if difference > 0 else "down" if difference < 0 else ""
    return Cell(f"{difference:+.{digits}f}".replace("-", "−"), kind)
