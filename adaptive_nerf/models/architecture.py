"""The shape of a field: what a checkpoint must say before its weights mean anything. It travels with them as JSON."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.engine.hash_grid import HashGrid
from adaptive_nerf.engine.network import DIRECTION, GEOMETRY, Network, Trunk, colour_head, trunk

CODE_LENGTH = 8


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Architecture:
    levels: int = 8
    features: int = 4
    log2_size: int = 19
    base_resolution: int = 16
    max_resolution: int = 4096
    trunk_depth: int = 1  # hidden layers
    trunk_width: int = 64
    head_depth: int = 2
    head_width: int = 64
    head: Literal["shared", "own"] = "shared"
    deferred: bool = True  # the colour head runs once a ray, on composited features
    density_bias: float = 1.0
    background_width: int = 32  # 0: none
    appearance: Literal["affine", "code", "none"] = "affine"

    @cached_property
    def grid(self) -> HashGrid:
        return HashGrid(self.levels, self.features, self.log2_size, self.base_resolution, self.max_resolution)

    @cached_property
    def trunk(self) -> Trunk:
        return trunk(self.grid.outputs, self.trunk_width, self.trunk_depth, self.density_bias)

    @cached_property
    def colour_head(self) -> Network:
        return colour_head(self.code_length, self.head_width, self.head_depth)

    @cached_property
    def background(self) -> Network | None:
        """See backdrop.py: 16 numbers of the far ground, 16 of the direction."""
        return Network(GEOMETRY + DIRECTION, self.background_width, 1, 3) if self.background_width else None

    @property
    def code_length(self) -> int:
        return CODE_LENGTH if self.appearance == "code" else 0

    def n_heads(self, n_experts: int) -> int:
        return 1 if self.head == "shared" else n_experts

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> Architecture:
        try:
            found = Architecture(**value)
            _ = found.grid, found.trunk, found.colour_head, found.background  # each looks at its own numbers
        except (TypeError, ValueError) as error:
            raise BadInput(f"the architecture in the checkpoint is not one that this program knows: {error}") from error
        return found
