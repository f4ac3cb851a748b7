"""Helpers of a call: however it ends, they have ended before."""

import ctypes
import signal
import threading

import pytest

from adaptive_nerf.engine.cpu import pool


@pytest.fixture
def interrupts(threads):
    """Two threads, and an event that is set when the main one is interrupted."""
    threads(2)
    happened = threading.Event()

    def interrupt(*_):
        happened.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield happened
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("while_waiting", [True, False])
def test_an_interrupted_call_ends_after_its_helpers(interrupts, while_waiting):
    main, helping, written = threading.main_thread(), threading.Event(), []

    def work(_):
        if threading.current_thread() is main:
            helping.wait()
            if not while_waiting:
                signal.raise_signal(signal.SIGINT)
            return
        helping.set()
        if while_waiting:
            signal.pthread_kill(main.ident, signal.SIGINT)
        interrupts.wait()
        written.extend(range(100_000))

    with pytest.raises(KeyboardInterrupt):
        pool.run(work, ctypes.c_int64(), 2)
    assert len(written) == 100_000


def test_a_helper_that_comes_late_does_nothing():
    calls = []
    call = pool._Call(calls.append, "pointer")
    call.help()
    call.end()
    call.help()
    assert calls == ["pointer"]


def test_where_no_thread_can_be_started_the_caller_does_the_work(threads, monkeypatch, caplog):
    def refuse(_):
        raise RuntimeError("can't start new thread")
    threads(3)
    monkeypatch.setattr(pool, "_pool", pool._Pool())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    calls = []
    for _ in range(2):
        pool.run(calls.append, ctypes.c_int64(), 3)
    assert len(calls) == 2
    assert caplog.messages == ["can't start new thread: the engine goes on with 1"]
