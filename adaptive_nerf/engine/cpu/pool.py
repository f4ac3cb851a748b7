"""Threads for the library: each runs the same function on the same arguments, and takes work until there is none.

ctypes lets go of Python's lock during a call, so plain Python threads run at once. How many: engine/threads.py; no
result depends on it. A forked child starts with threads of its own.
"""

import ctypes
import logging
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from adaptive_nerf.engine.threads import threads

log = logging.getLogger(__name__)


class _Call:
    """A function at work in several threads. Who comes when it is over has nothing to do."""

    def __init__(self, function: Callable[[Any], None], pointer: Any) -> None:
        self.function, self.pointer = function, pointer
        self.changed = threading.Condition(threading.Lock())
        self.helpers, self.over = 0, False

    def help(self) -> None:
        with self.changed:
            if self.over:
                return
            self.helpers += 1
        self.function(self.pointer)
        with self.changed:
            self.helpers -= 1
            self.changed.notify()

    def end(self) -> None:
        """Returns when nobody is at work any more; may be called again."""
        with self.changed:
            self.over = True
            while self.helpers:
                self.changed.wait()


class _Pool:
    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Threads do not survive a fork, and the queue may have been in use."""
        self.calls: SimpleQueue[_Call] = SimpleQueue()
        self.threads, self.full = 0, False
        self.growing = threading.Lock()

    def grow(self, wanted: int) -> None:
        with self.growing:
            while self.threads < wanted and not self.full:
                try:
                    threading.Thread(target=_serve, args=(self.calls,), name="engine", daemon=True).start()
                    self.threads += 1
                except RuntimeError as error:  # the system has no more; whoever is there does the work
                    log.warning("%s: the engine goes on with %d", error, self.threads + 1)
                    self.full = True


def _serve(calls: "SimpleQueue[_Call]") -> None:
    while True:
        calls.get().help()


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.start_anew)


def run(function: Callable[[Any], None], arguments: ctypes.Structure, items: int) -> None:
    """Returns when all items are done. `arguments.next` counts them, from 0."""
    helpers = min(threads(), items) - 1
    pointer = ctypes.byref(arguments)
    if helpers <= 0:
        function(pointer)
        return
    if _pool.threads < helpers:
        _pool.grow(helpers)
    call = _Call(function, pointer)
    try:
        for _ in range(helpers):
            _pool.calls.put(call)
        function(pointer)
    finally:
        try:
            call.end()
        finally:  # an interrupt of the wait: still, nobody may write to what the caller then gives back
            call.end()
