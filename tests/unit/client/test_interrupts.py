import os
import signal

import pytest

from adaptive_nerf.client.interrupts import interrupt_deferred


@pytest.fixture(autouse=True)
def as_in_the_foreground():
    """Who starts tests in the background has Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(done, error=None):
    with interrupt_deferred():
        os.kill(os.getpid(), signal.SIGINT)
        done.append(True)
        if error:
            raise error


def test_ctrl_c_counts_when_the_call_is_over():
    done = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done)
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_of_the_call_comes_first():
    with pytest.raises(ValueError, match="x"):
        interrupted([], ValueError("x"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
