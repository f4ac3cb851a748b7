"""Values out of files that others wrote: of the right kind, shape and range, or BadData that names file and key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.geometry.types import AnyArray, Array

NOT_AN_ARRAY = (TypeError, ValueError, RuntimeError, OverflowError)  # of NumPy, and of tensors that it cannot read
LONGEST_QUOTE = 60
LARGEST_WHOLE = 2.0 ** 53  # beyond it float64 skips whole numbers


def numbers(value: Mapping[str, Any], key: str, shape: tuple[int, ...], path: Path) -> Array:
    """Finite numbers of that shape, where -1 is any length but 0; one row or column passes for a list."""
    expected = _told(shape)
    array = _as_array(_needed(value, key, path, expected))
    if array is None or array.dtype.kind not in "iuf":
        raise BadData(path, f"is {_quoted(value[key])}", key=key, expected=expected)
    if len(shape) == 1:
        array = np.atleast_1d(array.squeeze())
    if array.ndim != len(shape) or any(given != (side if side >= 0 else max(given, 1))
                                       for side, given in zip(shape, array.shape, strict=True)):
        raise BadData(path, f"has shape {array.shape}", key=key, expected=expected)
    if not np.isfinite(array).all():
        raise BadData(path, "holds NaN or infinity", key=key, expected=_told(shape, "finite "))
    return np.asarray(array, np.float64)


def scalar(value: Mapping[str, Any], key: str, path: Path) -> float:
    return float(numbers(value, key, (1,), path)[0])


def whole_numbers(value: Mapping[str, Any], key: str, shape: tuple[int, ...], path: Path, least: int = 0) -> AnyArray:
    """int64."""
    array = numbers(value, key, shape, path)
    if (array != np.floor(array)).any() or array.min() < least or array.max() > LARGEST_WHOLE:
        kind = "positive whole " if least == 1 else "whole "
        raise BadData(path, f"is {_quoted(value[key])}", key=key, expected=_told(shape, kind))
    return array.astype(np.int64)


def whole_number(value: Mapping[str, Any], key: str, path: Path, least: int = 0) -> int:
    return int(whole_numbers(value, key, (1,), path, least)[0])


def yes_or_no(value: Mapping[str, Any], key: str, path: Path) -> bool:
    array = _as_array(_needed(value, key, path, "True or False"))
    if array is None or array.size != 1 or array.dtype.kind not in "biu" or array.item() not in (0, 1):
        raise BadData(path, f"is {_quoted(value[key])}", key=key, expected="True or False")
    return bool(array.item())


def text(value: Mapping[str, Any], key: str, path: Path) -> str:
    found = _needed(value, key, path, "text")
    if not isinstance(found, str):
        raise BadData(path, f"is {_quoted(found)}", key=key, expected="text")
    return found


def pixels_array(tensor: Any, path: Path) -> AnyArray:
    """A tensor that is a file of its own."""
    array = _as_array(tensor)
    if array is None or array.dtype.kind not in "biuf":
        raise BadData(path, f"is {_quoted(tensor)}", expected="a tensor of plain numbers")
    return array


def require_known_version(value: Mapping[str, Any], newest: int, path: Path) -> None:
    """A file that tells no version is understood as one of ours."""
    if "format_version" in value and whole_number(value, "format_version", path) > newest:
        raise BadData(path, f"is {_quoted(value['format_version'])}, newer than this program", key="format_version",
                      expected=f"{newest} or less")


def _needed(value: Mapping[str, Any], key: str, path: Path, expected: str) -> Any:
    if key not in value:
        raise BadData(path, "is missing", key=key, expected=expected)
    return value[key]


def _as_array(value: Any) -> AnyArray | None:
    """None where it is no array, nor a tensor that NumPy can read: bfloat16 and gradients are for training."""
    try:
        return np.asarray(value)
    except NOT_AN_ARRAY:
        return None


def _told(shape: tuple[int, ...], kind: str = "") -> str:
    if shape == (1,):
        return f"a {kind}number"
    return "x".join("K" if side < 0 else str(side) for side in shape) + f" {kind}numbers"


def _quoted(value: Any) -> str:
    """On one line, and not too long."""
    line = " ".join(repr(value).split())
    return line if len(line) <= LONGEST_QUOTE else line[:LONGEST_QUOTE] + "..."
