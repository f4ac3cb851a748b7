"""Waiting for what happens elsewhere: on a condition, never on a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
MOST_AT_ONCE_S = 1.0


def wait_until(condition: Callable[[], T], what: str, within_s: float = 30.0, every_s: float = 0.02) -> T:
    """The first true answer of `condition`. Fails, naming `what`, when there is none in time.

    A machine that stood still meanwhile takes no more than a second from that time: nothing could happen in it.
    """
    left_s, looked_at = within_s, time.monotonic()
    while True:
        answer = condition()
        if answer:
            return answer
        if left_s < 0:
            raise AssertionError(f"{what}: not within {within_s:g} s (last answer: {answer!r})")
        time.sleep(every_s)
        former, looked_at = looked_at, time.monotonic()
        left_s -= min(looked_at - former, MOST_AT_ONCE_S)
