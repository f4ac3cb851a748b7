"""A disk that is soon full: a tmpfs of some MiB, where one may be mounted."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path]:
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        if "CI" in os.environ:
            pytest.fail("no tmpfs can be mounted; run the tests as root")
        pytest.skip("no tmpfs can be mounted (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", 0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(2**12))
    assert os.statvfs(path).f_bavail == 0
