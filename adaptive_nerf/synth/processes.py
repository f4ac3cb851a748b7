"""A pool of processes for one function over many items; with one worker, the same thing in this process.

Workers leave by themselves when the process that started them is gone, however it died.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def run_all(work: Callable[[Item], Made], items: Iterable[Item], jobs: int) -> Iterator[Made]:
    """Results in the order of the items. `work` must be picklable and a pure function of its item."""
    items = list(items)
    if jobs <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(items)), context, _leave_with_parent) as pool:
        try:
            yield from pool.map(work, items)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for_end_of, args=(parent,), daemon=True).start()


def _wait_for_end_of(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
