"""Ctrl-C around calls that do not bear it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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


def other_signals_interrupt() -> None:
    """SIGTERM and the loss of the terminal end us as Ctrl-C does, so that what we started is ended too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def wait_for_interrupt() -> None:
    with suppress(KeyboardInterrupt):
        while True:
            signal.pause()
