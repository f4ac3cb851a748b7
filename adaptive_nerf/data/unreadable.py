"""Two things that keep one from reading a file: the system (no right to, a failing disk), or what the file holds."""

from pathlib import Path

from adaptive_nerf.common.errors import BadData


def unreadable(path: Path, error: Exception, damage: str, expected: str) -> BadData:
    """What an error while reading says of the file; `damage` and `expected` tell of one that the system did read."""
    if isinstance(error, FileNotFoundError):
        return BadData(path, "is missing")
    if isinstance(error, OSError) and error.errno is not None and error.strerror:  # Pillow's and zipfile's have none
        return BadData(path, f"cannot be read: {error.strerror.lower()}")
    return BadData(path, damage, expected=expected)
