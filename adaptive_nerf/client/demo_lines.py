"""One line for each stage of the demo, with its time; on a terminal also what it is at, until it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adaptive_nerf.client.plain_text import printable

WIDTH, LONGEST_DETAIL = 48, 60


@dataclass
class Stage:
    """`note` is told behind the time."""

    what: str
    note: str = ""
    began: float = field(default_factory=time.monotonic)

    def at(self, detail: str) -> None:
        """What it is doing just now; only for who looks on."""
        if sys.stdout.isatty():
            _write(f"\r\033[K{self._name()}   …     {printable(detail, LONGEST_DETAIL)}")

    def end(self) -> None:
        took = f"{time.monotonic() - self.began:7.1f} s"
        start_of_line = "\r\033[K" if sys.stdout.isatty() else ""
        _write(f"{start_of_line}{self._name()} {took}{'   ' if self.note else ''}{self.note}\n")

    def _name(self) -> str:
        return f"{self.what:<{WIDTH}}"


@contextmanager
def stage(what: str) -> Iterator[Stage]:
    """Its line is printed at its end; of one that fails or is stopped, with the word "stopped"."""
    now = Stage(what)
    now.at("")
    try:
        yield now
    except BaseException:
        now.note = "stopped"
        now.end()
        raise
    now.end()


def tell(text: str = "") -> None:
    _write(f"{text}\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
