"""The store's folder: ours alone while we run; and what the database says about the disk, in our words."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from adaptive_nerf.common.errors import BadData, Failure


class StoreFull(Failure):
    """The disk takes no more. Nothing was changed; the same call may be made again when there is room."""


class StoreLocked(Failure):
    """Another mediator works with this state folder."""


def hold(folder: Path) -> IO[bytes]:
    """The folder is ours until this is closed, or our process ends."""
    held = (folder / "lock").open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.close()
        raise StoreLocked(f"another mediator works with {folder}; stop it first, or give this one another --state"
                          ) from error
    return held


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """A disk that refuses to be written is as good as a full one."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest tells at which step
        if kind in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise StoreFull(f"{path} cannot be read or written: {error}; free some space on its disk") from error
        if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise BadData(path, f"is damaged: {error}; bring back a copy, or move it away, and with it all that is "
                                f"known of jobs") from error
        raise
