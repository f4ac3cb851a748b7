"""The hidden folder in which a command builds its output, so that a killed one can be gone on with.

It belongs to one process at a time, and to one set of inputs: with other inputs it is emptied first.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadInput

INPUTS, RECORDS = ".inputs.json", ".records"


@contextlib.contextmanager
def workspace(target: Path, inputs: dict[str, Any]) -> Iterator[Path]:
    """The partial folder of a target. What an earlier run with the same inputs left in it is still there."""
    partial = atomic_files.partial_folder(target)
    make_folder(partial)
    with only_process_in(partial):
        if _inputs_of(partial) != inputs:
            _empty(partial)
            atomic_files.write_json(partial / INPUTS, inputs)
        yield partial


def publish(partial: Path, target: Path) -> None:
    """Drop the notes of the work, and give the folder its name."""
    shutil.rmtree(partial / RECORDS, ignore_errors=True)
    (partial / INPUTS).unlink(missing_ok=True)
    atomic_files.publish_folder(partial, target)


def make_folder(folder: Path) -> None:
    with atomic_files.disk_full_named(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in atomic_files.OUT_OF_SPACE:
                raise
            raise BadInput(f"{folder} cannot be made: {error.strerror}") from error


@contextlib.contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the lock ends with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(f"another command is at work in {folder}; wait for it to end") from error
        yield
    finally:
        os.close(descriptor)


def _inputs_of(partial: Path) -> Any:
    try:
        return json.loads((partial / INPUTS).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
