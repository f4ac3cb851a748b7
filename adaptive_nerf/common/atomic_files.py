"""Files and folders that are either whole or absent: temporary name, fsync, rename."""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adaptive_nerf.common.errors import BadInput, BadUsage, DiskFull, Failure, OutputExists
from adaptive_nerf.common.say import say

OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT}
CANNOT_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def disk_full_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in OUT_OF_SPACE:
            raise DiskFull(path) from error
        raise


def fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes, durable: bool = True, mode: int = 0o666) -> None:
    """Write the file whole or not at all; an older one stays until the new one is safe on the disk.

    Not `durable`: whole against a kill, but not against a power cut; for files of a folder that is brought to the disk
    at once when it is finished, and whose wholeness is checked when work on it goes on.
    """
    writer = f"{os.getpid()}-{threading.get_ident()}"  # threads may write the same file at the same time
    temporary = path.with_name(f".{path.name}.{writer}.tmp")
    with disk_full_named(path):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            fsync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def is_temporary(path: Path) -> bool:
    """Left behind by a process that was killed while it wrote."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def partial_folder(target: Path) -> Path:
    """Where a folder is built before it gets its name; the next run of the same command finds it again."""
    if target.name in ("", ".."):
        raise BadUsage(f"{target} is no name for a new folder; give one, as in {target / 'new'}")
    return target.with_name(f".{target.name}.partial")


def make_folder(folder: Path) -> None:
    with disk_full_named(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in OUT_OF_SPACE:
                raise
            raise BadInput(f"{folder} cannot be made: {error.strerror}") from error


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make the folder if need be, and hold it against other runs of the same command, until this process ends."""
    make_folder(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(f"another command is at work in {folder}; wait for it to end") from error
        if not folder.exists() or folder.stat().st_ino != os.fstat(descriptor).st_ino:
            raise Failure(f"{folder} was finished by another run just now; look at its result")
        yield
    finally:
        os.close(descriptor)


def refuse_existing(target: Path, force: bool, marker: str) -> None:
    """What exists is left alone. With --force it is replaced, if it is a folder of the command's own, with `marker`."""
    if not os.path.lexists(target):
        return
    if target.is_symlink():
        raise BadUsage(f"{target} is a link; name the folder that it leads to, or another one")
    if not force:
        raise OutputExists(target)
    if not target.is_dir() or (any(target.iterdir()) and not (target / marker).exists()):
        raise BadUsage(f"{target} was not made by this command (it holds no {marker}), so --force does not replace it; "
                       f"choose another name")
    say(f"{target} is replaced, with all that was made in it")


def sync_tree(folder: Path) -> None:
    """Drop what killed writers left in a finished folder, and bring the rest to the disk, all in one call."""
    for path in folder.rglob(".*.tmp"):
        if is_temporary(path):
            path.unlink()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_libc(ctypes.CDLL(None, use_errno=True).syncfs(descriptor), folder)
    finally:
        os.close(descriptor)


def publish_folder(partial: Path, target: Path, replace: bool = False, notes: Sequence[Path] = ()) -> None:
    """Give a finished folder its name. An older one is exchanged in one step, then removed; never unless told to.

    `notes` let a killed run be gone on with. They go last, for bringing all to the disk can take long.
    """
    with disk_full_named(target):
        sync_tree(partial)
        replaces = target.exists()
        if replaces and not replace:
            raise OutputExists(target)
        for note in notes:
            shutil.rmtree(note) if note.is_dir() else note.unlink(missing_ok=True)
        if not replaces:
            partial.rename(target)  # fails if another command has put its own there just now
            fsync_folder(target.parent)
            return
        exchange(partial, target)
        fsync_folder(target.parent)
        shutil.rmtree(partial)


def exchange(first: Path, second: Path) -> None:
    """Swap two paths: atomically (Linux renameat2), or in three renames on file systems that cannot."""
    arguments = (AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE)
    try:
        _check_libc(ctypes.CDLL(None, use_errno=True).renameat2(*arguments), first, second)
    except OSError as error:
        if error.errno not in CANNOT_EXCHANGE:
            raise
        aside = second.with_name(f".{second.name}.{os.getpid()}.aside")
        second.rename(aside)
        first.rename(second)
        aside.rename(first)


def _check_libc(result: int, path: Path, other: Path | None = None) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path), None, str(other) if other else None)
