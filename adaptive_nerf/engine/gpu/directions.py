"""Spherical harmonics on CUDA, in one launch; engine/directions.py says what they are."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaptive_nerf.engine import directions

DIRECTIONS = 128  # of one program


def spherical_harmonics(vectors: Tensor) -> Tensor:  # [n, 3] -> [n, 16]
    if vectors.requires_grad or vectors.dtype != torch.float32 or vectors.dim() != 2:
        return directions.spherical_harmonics(vectors)
    found = vectors.new_empty(len(vectors), 16)
    if len(vectors):
        _harmonics[(triton.cdiv(len(vectors), DIRECTIONS),)](vectors.contiguous(), found, len(vectors), DIRECTIONS)
    return found


@triton.jit(do_not_specialize=["n"])
def _harmonics(vectors, found, n, DIRECTIONS: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * DIRECTIONS + tl.arange(0, DIRECTIONS)
    used = i < n
    x = tl.load(vectors + 3 * i, mask=used, other=0.0)
    y = tl.load(vectors + 3 * i + 1, mask=used, other=0.0)
    z = tl.load(vectors + 3 * i + 2, mask=used, other=0.0)
    xx, yy, zz = x * x, y * y, z * z
    at = found + 16 * i
    tl.store(at, 0.28209479177387814 + 0 * x, mask=used)
    tl.store(at + 1, -0.4886025119029199 * y, mask=used)
    tl.store(at + 2, 0.4886025119029199 * z, mask=used)
    tl.store(at + 3, -0.4886025119029199 * x, mask=used)
    tl.store(at + 4, 1.0925484305920792 * x * y, mask=used)
    tl.store(at + 5, -1.0925484305920792 * y * z, mask=used)
    tl.store(at + 6, 0.9461746957575601 * zz - 0.31539156525252005, mask=used)
    tl.store(at + 7, -1.0925484305920792 * x * z, mask=used)
    tl.store(at + 8, 0.5462742152960396 * (xx - yy), mask=used)
    tl.store(at + 9, 0.5900435899266435 * y * (yy - 3 * xx), mask=used)
    tl.store(at + 10, 2.890611442640554 * x * y * z, mask=used)
    tl.store(at + 11, 0.4570457994644658 * y * (1 - 5 * zz), mask=used)
    tl.store(at + 12, 0.3731763325901154 * z * (5 * zz - 3), mask=used)
    tl.store(at + 13, 0.4570457994644658 * x * (1 - 5 * zz), mask=used)
    tl.store(at + 14, 1.445305721320277 * z * (xx - yy), mask=used)
    tl.store(at + 15, 0.5900435899266435 * x * (3 * yy - xx), mask=used)
