"""One function over many items, in threads or in processes, results in order. The first failure stops the rest."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from typing import TypeVar

from adaptive_nerf.common.errors import Failure

T = TypeVar("T")
R = TypeVar("R")
PR_SET_PDEATHSIG = 1
WORKER_KILLED = ("a worker process was killed, most often for want of memory; "
                 "run the same command again with fewer --jobs")


def in_threads(function: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[R]:
    """For work that spends its time in libraries which let go of Python's lock. Leaves no orphan when killed."""
    executor = ThreadPoolExecutor(max(1, jobs))
    try:
        yield from executor.map(function, items)
    finally:
        executor.shutdown(cancel_futures=True)


def in_processes(function: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[R]:
    """For work that holds Python's lock too often. One job runs in this process.

    Workers are forked at once, before a progress bar has its thread: nothing is imported again, and what was built is
    shared. They leave Ctrl-C to their parent, and die with it, however it dies. None begins before all is handed out:
    while the pool takes in work, Python 3.11 can miss that a worker died, and wait for ever.
    """
    if min(jobs, len(items)) <= 1:
        return map(function, items)
    context = get_context("fork")
    all_out = context.Event()
    executor = ProcessPoolExecutor(min(jobs, len(items)), context, _start_worker, (os.getpid(), all_out))
    try:
        futures = [executor.submit(function, item) for item in items]
    except BrokenProcessPool as error:
        executor.shutdown(cancel_futures=True)
        raise Failure(WORKER_KILLED) from error
    finally:
        all_out.set()
    return _results(executor, futures)


def _results(executor: ProcessPoolExecutor, futures: list[Future[R]]) -> Iterator[R]:
    try:
        for future in futures:
            yield future.result()
    except BrokenProcessPool as error:
        raise Failure(WORKER_KILLED) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker(parent: int, all_out: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)
    all_out.wait()
