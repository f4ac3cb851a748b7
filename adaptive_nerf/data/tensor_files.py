"""The `.pt` files of prepared scenes: never unpickled, always written whole, same input same bytes."""

import io
import lzma
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.unreadable import unreadable

# What torch.load and zipfile raise on damaged bytes: none of it says more than that they are damaged.
READ_ERRORS = (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
               AssertionError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can tell


def load_tensors(path: Path) -> Any:
    """What torch.save put there, tensors and plain values only."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except READ_ERRORS as error:
        raise unreadable(path, error, "cannot be read", "a file of torch.save with tensors and plain values") from error


def load_dict(path: Path) -> dict[str, Any]:
    value = load_tensors(path)
    if not isinstance(value, dict):
        raise BadData(path, f"holds a {type(value).__name__}", expected="a dict")
    return value


def tensor_bytes(value: Any) -> bytes:
    """Through a memory buffer: torch.save names its archive after the file otherwise."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def save_tensors(path: Path, value: Any) -> None:
    atomic_files.write_bytes(path, tensor_bytes(value))


def zipped_tensor_bytes(name: str, tensor: torch.Tensor) -> bytes:
    """A ZIP (deflate) with one member of that name, itself a torch.save."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo(name, FIXED_DATE)
        member.external_attr = 0o600 << 16
        # The level counts here only: with a ZipInfo, zipfile overlooks the archive's own.
        archive.writestr(member, tensor_bytes(tensor), zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


def load_zipped_tensor(path: Path) -> torch.Tensor:
    """A tensor from such a ZIP, or from a plain torch.save (which is a ZIP too, of several members)."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            content = io.BytesIO(archive.read(names[0])) if len(names) == 1 else path
            value = torch.load(content, map_location="cpu", weights_only=True)
    except READ_ERRORS as error:
        raise unreadable(path, error, "cannot be read", "a ZIP with one .pt member, or a plain .pt") from error
    if not isinstance(value, torch.Tensor):
        raise BadData(path, f"holds a {type(value).__name__}", expected="a tensor")
    return value
