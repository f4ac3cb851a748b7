"""A whole model: the field, how photos look, where it lies in the world, and how it came to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.models.appearance import Appearance
from adaptive_nerf.models.field import Field
from adaptive_nerf.models.mixture import CHUNK_POINTS, Mixture


@dataclass(frozen=True)
class Lineage:
    """One thing that was done to a model after it was made."""

    base: str  # digest of the manifest it started from; empty: from nothing
    op: str
    batch: str
    steps: int
    at: str  # ISO time


@dataclass(frozen=True)
class Model:
    field: Field
    appearance: Appearance
    scene_frame: SceneFrame
    scene_id: str  # tells scenes apart; checkpoints of different scenes are never mixed
    step: int = 0
    expert_steps: Mapping[int, int] = field(default_factory=dict)  # by expert id: how long it was trained
    lineage: tuple[Lineage, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)  # what an exact resume needs beside the optimiser

    def mixture(self, version: str, chunk_points: int = CHUNK_POINTS) -> Mixture:
        """As a Renderer, in the neutral look."""
        return Mixture(self.field, self.scene_frame, self.appearance.neutral, version, chunk_points)

    def trained(self, experts: Iterable[int], steps: int) -> Model:
        learned = set(experts)
        told = {expert: self.expert_steps.get(expert, 0) + (steps if expert in learned else 0)
                for expert in self.field.experts}
        return replace(self, step=self.step + steps, expert_steps=told)
