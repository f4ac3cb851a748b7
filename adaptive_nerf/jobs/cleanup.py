"""--cleanup: empties the logs folder of finished jobs. Only folders that are ours go; the rest is left and named.

A job that is not finished goes on from what it has there, also one that runs at this moment on no machine: after a
restart of the host, or between two attempts.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from adaptive_nerf.jobs.executors import is_locked

log = logging.getLogger(__name__)
KEPT, OURS_BESIDE = {"example"}, {"mediator.txt", "mediator.jsonl", ".gitkeep"}
SHOWN = 10


def clean_up(logs: Path, unfinished: Collection[str]) -> None:
    """`unfinished`: names of the jobs that the store knows and that have not ended."""
    removed, alive, waiting, foreign = 0, [], [], []
    for path in sorted(logs.iterdir()) if logs.is_dir() else []:
        if path.name in KEPT or any(path.name.startswith(name) for name in OURS_BESIDE):
            continue
        if path.is_symlink() or not (path / "job.json").is_file():
            foreign.append(path.name)
        elif _alive(path):
            alive.append(path.name)
        elif path.name in unfinished:
            waiting.append(path.name)
        else:
            shutil.rmtree(path)
            removed += 1
    log.info("cleaned up: %d job folders removed from %s", removed, logs)
    if alive:
        log.info("left, for they run: %s", _named(alive))
    if waiting:
        log.info("left, for they are to go on: %s", _named(waiting))
    if foreign:
        log.info("left, for they are not ours: %s", _named(foreign))


def _alive(folder: Path) -> bool:
    """Whether a shim holds the lock of any attempt."""
    return any(is_locked(lock) for lock in folder.glob("attempts/*/lock"))


def _named(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
