"""Waiting for what happens elsewhere: on a condition, never on a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, within_s: float = 30.0, every_s: float = 0.02) -> T:
    """The first true answer of `condition`. Fails, naming `what`, when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s:g} s (last answer: {answer!r})")
        time.sleep(every_s)
