"""TensorBoard curves and pictures of a running job, in `<job folder>/tensorboard`; seen a second after they are told.

    tensorboard --logdir logs

They are for people to watch: a disk that is full is told once and never ends the work; with room again, they go on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard.writer import SummaryWriter

from adaptive_nerf.pipelines.pictures import Pixels

FOLDER = "tensorboard"
FLUSH_S = 1
ROOM_BYTES = 2**20  # beyond what is to be written; the library writes in a thread, where a full disk ends badly
log = logging.getLogger(__name__)


class Tracker:
    """`first_step` is where a resumed job goes on: what an earlier run told from there on is hidden."""

    def __init__(self, job_folder: Path, first_step: int = 0, warn: Callable[[str], None] = log.warning):
        self._folder, self._first_step, self._warn = job_folder / FOLDER, first_step, warn
        self._writer: SummaryWriter | None = None
        self._was_full = self._given_up = False

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        def write(writer: SummaryWriter) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
        self._try(write)

    def picture(self, step: int, name: str, pixels: Pixels) -> None:
        self._try(lambda writer: writer.add_image(name, pixels, step, dataformats="HWC"), pixels.nbytes)

    def close(self) -> None:
        self._try(lambda writer: writer.close(), opens=False)
        self._writer, self._given_up = None, True

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _try(self, write: Callable[[SummaryWriter], None], size_bytes: int = 0, opens: bool = True) -> None:
        if self._given_up or (self._writer is None and not opens):
            return
        if _free_bytes(self._folder.parent) < ROOM_BYTES + size_bytes:
            self._tell_full()
            return
        try:
            if self._writer is None:
                self._writer = SummaryWriter(str(self._folder), purge_step=self._first_step, flush_secs=FLUSH_S)
            write(self._writer)
        except OSError as error:
            self._given_up = True
            self._warn(f"TensorBoard curves end here: {self._folder} cannot be written ({error.strerror or error})")

    def _tell_full(self) -> None:
        if not self._was_full:
            self._warn(f"no space left for TensorBoard curves in {self._folder}; the work goes on without them")
        self._was_full = True


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
