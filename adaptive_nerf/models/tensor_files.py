"""Tensors in safetensors files, each with its digest. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadData
from adaptive_nerf.models.manifest import FileRecord

Tensors = dict[str, Tensor]
WORDS = ("occupancy",)  # 64 bits each; all else that a model needs is float32


def write(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> FileRecord:
    """Not yet brought to the disk: the whole folder is, when it is finished."""
    content = safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
    atomic_files.write_bytes(folder / name, content, durable=False)
    return FileRecord(file=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def read(folder: Path, record: FileRecord) -> Tensors:
    path = folder / record.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadData(path, "cannot be read", expected=f"a file of {record.bytes} bytes") from error
    if len(content) != record.bytes:
        raise BadData(path, f"has {len(content)} bytes", expected=f"{record.bytes}; the checkpoint is not whole")
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise BadData(path, "does not have the digest that the manifest names",
                      expected="what was saved; the file was changed or damaged: take a copy, or another checkpoint")
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise BadData(path, f"is no safetensors file: {error}") from error


def require(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """The tensors that a file must hold, in the shapes that the architecture tells."""
    for name, shape in shapes.items():
        if name not in tensors:
            raise BadData(path, "is missing", key=name, expected=f"a tensor {list(shape)}")
        if tuple(tensors[name].shape) != shape:
            raise BadData(path, f"has shape {list(tensors[name].shape)}", key=name, expected=str(list(shape)))
        kind = torch.int64 if name in WORDS else torch.float32
        if tensors[name].dtype != kind:
            raise BadData(path, f"holds {tensors[name].dtype}", key=name, expected=str(kind))
