"""Progress of long work: a bar with an ETA on a terminal, a plain line now and then elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from adaptive_nerf.common.say import say

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0


def track(items: Iterable[T], total: int, label: str, clock: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """Yield the items, showing how many of `total` are done and how long the rest will take."""
    return _bar(items, total, label) if sys.stderr.isatty() else _lines(items, total, label, clock)


def _bar(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], total: int, label: str, clock: Callable[[], float]) -> Iterator[T]:
    start = said = clock()
    for done, item in enumerate(items, 1):
        yield item
        now = clock()
        if done == total or now - said >= SECONDS_BETWEEN_LINES:
            said = now
            left_s = (now - start) / done * (total - done)
            ending = f"done in {now - start:.1f} s" if done == total else f"about {left_s:.0f} s left"
            say(f"{label}: {done}/{total}, {ending}")
