"""Ctrl-C around calls that do not bear it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Ctrl-C counts at the end of the block: within a poll of the Kafka library it would come out as a SystemError.

    For short calls in the main thread.
    """
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
