"""The shape of a small network: layers without biases, ReLU between them; all its weights are one flat vector.

The vector holds one matrix [outputs, inputs] after the other, row by row. A batch of slots is [n_slots, n_weights]: an
argument of every operation, so that meta-learning can pass fast weights.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

GEOMETRY = 16  # what the density trunk gives: the density, and 15 features of the place
DIRECTION = 16  # spherical harmonics to degree 4


@dataclass(frozen=True)
class Network:
    inputs: int
    hidden: int
    depth: int  # hidden layers
    outputs: int

    def __post_init__(self) -> None:
        if not (1 <= self.depth <= 8 and 1 <= self.hidden <= 256 and 1 <= self.inputs <= 256 and self.outputs >= 1):
            raise ValueError(f"a network has 1 to 8 hidden layers and at most 256 inputs and neurons, not {self}")

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        widths = [self.inputs, *[self.hidden] * self.depth, self.outputs]
        return tuple(zip(widths[1:], widths[:-1], strict=True))  # (outputs, inputs)

    @property
    def n_weights(self) -> int:
        return sum(rows * columns for rows, columns in self.shapes)

    def matrices(self, weights: Tensor) -> list[Tensor]:
        """Views of one slot's weights. [n_weights] -> [outputs, inputs] each"""
        sizes = [rows * columns for rows, columns in self.shapes]
        return [part.view(shape) for part, shape in zip(weights.split(sizes), self.shapes, strict=True)]

    def initial(self, generator: torch.Generator) -> Tensor:
        """He's uniform start, the last layer at half of it. -> [n_weights]"""
        parts = [(torch.rand(rows * columns, generator=generator) * 2 - 1) * math.sqrt(6 / columns)
                 for rows, columns in self.shapes]
        parts[-1] *= 0.5
        return torch.cat(parts)


@dataclass(frozen=True)
class Trunk:
    """Grid features -> density exp(raw + bias), and 15 features of the place."""

    network: Network
    density_bias: float = 1.0


def trunk(inputs: int, hidden: int = 64, depth: int = 1, density_bias: float = 1.0) -> Trunk:
    return Trunk(Network(inputs, hidden, depth, GEOMETRY), density_bias)


def colour_head(code: int = 0, hidden: int = 64, depth: int = 2) -> Network:
    """Inputs: 1 or the composited opacity, 15 features, 16 of the direction, and `code` numbers of the photo."""
    return Network(GEOMETRY + DIRECTION + code, hidden, depth, 3)


