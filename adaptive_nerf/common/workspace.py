"""The hidden folder in which a command builds its output, so that a killed one can be gone on with.

It belongs to one process at a time, and to one set of inputs: with other inputs it is emptied first.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adaptive_nerf.common import atomic_files

INPUTS, RECORDS = ".inputs.json", ".records"


@contextlib.contextmanager
def workspace(target: Path, inputs: dict[str, Any]) -> Iterator[Path]:
    """The partial folder of a target. What an earlier run with the same inputs left in it is still there."""
    partial = atomic_files.partial_folder(target)
    with atomic_files.locked_folder(partial):
        if _inputs_of(partial) != inputs:
            _empty(partial)
            atomic_files.write_json(partial / INPUTS, inputs)
        yield partial


def publish(partial: Path, target: Path, replace: bool = False, notes: Sequence[Path] = ()) -> None:
    """Give the folder its name, without the notes of the work: our own, and those of the command."""
    atomic_files.publish_folder(partial, target, replace, [*notes, partial / RECORDS, partial / INPUTS])


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
