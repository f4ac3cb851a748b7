"""A disk that is soon full: a tmpfs of some MiB, where one may be mounted."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.missing import missing


@contextlib.contextmanager
def small_disk(folder: Path, size_mib: float) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", _size(size_mib), "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        missing("no tmpfs can be mounted (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(folder: Path, size_mib: float) -> None:
    subprocess.run(["mount", "-o", f"remount,{_size(size_mib)}", str(folder)], check=True)


def _size(mib: float) -> str:
    return f"size={mib * 1024:.0f}k"


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", 0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(2**12))
    assert os.statvfs(path).f_bavail == 0
