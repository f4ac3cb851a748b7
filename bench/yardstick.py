"""The yardstick: a hash-grid radiance field written the plain way in torch, level by level, with autograd.

Nothing here is tuned, and nothing here is ever to be: speed-ups are quoted against it, so that everyone divides by the
same thing, on every machine. Parameters lie as in adaptive_nerf.engine.hash_grid.
"""

import math

import torch
from torch import Tensor

PRIMES = (1, 2654435761, 805459861)
POINTS, RAYS, SAMPLES = 262_144, 512, 96


class HashGrid(torch.nn.Module):
    """Positions in [0, 1]^3 -> n_levels * n_features interpolated features."""

    def __init__(self, n_levels: int = 16, n_features: int = 2, log2_size: int = 19, base: int = 16,
                 finest: int = 2048) -> None:
        super().__init__()
        growth = math.exp(math.log(finest / base) / (n_levels - 1))
        self.levels, offset = [], 0
        for level in range(n_levels):
            scale = base * growth**level - 1
            resolution = math.ceil(scale) + 1
            size = min(-(-(resolution**3) // 8) * 8, 2**log2_size)
            self.levels.append((scale, resolution, size, offset))
            offset += size
        self.table = torch.nn.Parameter(torch.empty(offset, n_features).uniform_(-1e-4, 1e-4))

    def forward(self, x: Tensor) -> Tensor:  # [n, 3] -> [n, n_levels * n_features]
        out = []
        for scale, resolution, size, offset in self.levels:
            pos = x * scale + 0.5
            low = pos.floor()
            frac, low = pos - low, low.long()
            feature = 0.0
            for corner in range(8):
                bits = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
                cell = low + bits
                weight = torch.where(bits.bool(), frac, 1 - frac).prod(-1, keepdim=True)
                if resolution**3 <= size:
                    index = cell[:, 0] + resolution * (cell[:, 1] + resolution * cell[:, 2])
                else:
                    index = cell[:, 0] * PRIMES[0] ^ cell[:, 1] * PRIMES[1] ^ cell[:, 2] * PRIMES[2]
                feature = feature + weight * self.table[offset + index % size]
            out.append(feature)
        return torch.cat(out, -1)


class Field(torch.nn.Module):
    """Hash grid, density trunk 32-64-16, colour head 32-64-64-3 on 15 geometry and 17 direction features."""

    def __init__(self) -> None:
        super().__init__()
        linear, relu = torch.nn.Linear, torch.nn.ReLU()
        self.grid = HashGrid()
        self.trunk = torch.nn.Sequential(linear(32, 64), relu, linear(64, 16))
        self.head = torch.nn.Sequential(linear(32, 64), relu, linear(64, 64), relu, linear(64, 3), torch.nn.Sigmoid())

    def networks(self, features: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(features)
        return torch.exp(h[:, 0] - 1), self.head(torch.cat([h[:, 1:], directions], -1))

    def forward(self, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:  # [n, 3], [n, 17]
        return self.networks(self.grid(x), directions)


def composite(sigma: Tensor, rgb: Tensor, step: float) -> Tensor:  # [rays, samples], [rays, samples, 3] -> [rays, 3]
    alpha = 1 - torch.exp(-sigma * step)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha[:, :-1] + 1e-10], 1), 1)
    return ((alpha * through)[..., None] * rgb).sum(1)


class Yardstick:
    """What is timed, each with inputs of its own."""

    def __init__(self) -> None:
        self.grid, self.points, self.field = HashGrid(), torch.rand(POINTS, 3), Field()
        self.adam = torch.optim.Adam(self.field.parameters(), lr=1e-2, betas=(0.9, 0.99), eps=1e-15)
        self.position, self.target = torch.rand(RAYS * SAMPLES, 3), torch.rand(RAYS, 3)
        self.features = torch.rand(RAYS * SAMPLES, 32, requires_grad=True)
        self.direction = torch.randn(RAYS * SAMPLES, 17)

    @torch.no_grad()
    def encode(self) -> None:
        self.grid(self.points)

    def encode_both(self) -> None:
        self.grid.table.grad = None
        self.grid(self.points).sum().backward()

    def field_both(self) -> None:
        sigma, rgb = self.field.networks(self.features, self.direction)
        (sigma.sum() + rgb.sum()).backward()

    def step(self) -> None:
        self.adam.zero_grad()
        sigma, rgb = self.field(self.position, self.direction)
        image = composite(sigma.view(RAYS, SAMPLES), rgb.view(RAYS, SAMPLES, 3), 1 / SAMPLES)
        torch.nn.functional.mse_loss(image, self.target).backward()
        self.adam.step()
