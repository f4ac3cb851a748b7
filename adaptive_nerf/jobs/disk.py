"""A disk that fills up must not cost us the truth about jobs: a reserve to write endings, and a word in time."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

MIB = 2**20
LOW_BYTES = 64 * MIB  # below this nothing new is taken or started
BALLAST_BYTES = 8 * MIB


class Disk:
    """The folders we write to, and a small file in the first that can be given up when there is no room at all."""

    def __init__(self, state: Path, logs: Path, low_bytes: int = LOW_BYTES):
        self.folders, self.low_bytes = (state, logs), low_bytes
        self.ballast = state / "ballast"

    def low(self) -> str:
        """Why nothing new should begin; empty when there is room."""
        return next((why for folder in self.folders if (why := self._trouble(folder))), "")

    def _trouble(self, folder: Path) -> str:
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:  # removed, or not mounted: a passing trouble too
            return f"cannot look at {folder}: {(error.strerror or 'unreadable').lower()}; bring the folder back"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} cannot be written; mount it for writing, or give this user the right to"
        if free < self.low_bytes:
            return (f"only {free // MIB} MiB are free in {folder}, less than {self.low_bytes // MIB}; "
                    f"make room, and it goes on by itself")
        return ""

    def free_bytes(self) -> int:
        """Where there is least; 0 where nobody can tell."""
        try:
            return min(shutil.disk_usage(folder).free for folder in self.folders)
        except OSError:
            return 0

    def keep_ballast(self) -> None:
        """Once there is room again."""
        if self.low() or (self.ballast.exists() and self.ballast.stat().st_size == BALLAST_BYTES):
            return
        with contextlib.suppress(OSError), self.ballast.open("wb") as stream:  # no room after all, or a quota
            os.posix_fallocate(stream.fileno(), 0, BALLAST_BYTES)

    def drop_ballast(self) -> bool:
        """True when that made room."""
        with contextlib.suppress(OSError):
            self.ballast.unlink()
            return True
        return False
