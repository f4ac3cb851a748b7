"""Real spherical harmonics of a direction, degrees 0 to 3 (16 values), signs and order as in tiny-cuda-nn.

Input: unit vectors (x, y, z). Value l*l + l + m is, with scipy's Y = sph_harm_y(l, |m|, polar angle from z, azimuth
from x), which carries the Condon-Shortley phase: sqrt(2) Im Y for m < 0, Y for m = 0, sqrt(2) Re Y for m > 0.
So value 1 is -0.4886 y, value 2 is 0.4886 z, value 3 is -0.4886 x.
"""

import torch
from torch import Tensor


def spherical_harmonics(directions: Tensor) -> Tensor:  # [n, 3] -> [n, 16]
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack([
        torch.full_like(x, 0.28209479177387814),
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.9461746957575601 * zz - 0.31539156525252005,
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        0.5900435899266435 * y * (yy - 3 * xx),
        2.890611442640554 * x * y * z,
        0.4570457994644658 * y * (1 - 5 * zz),
        0.3731763325901154 * z * (5 * zz - 3),
        0.4570457994644658 * x * (1 - 5 * zz),
        1.445305721320277 * z * (xx - yy),
        0.5900435899266435 * x * (3 * yy - xx),
    ], -1)
