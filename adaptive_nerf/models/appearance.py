"""What a photo's exposure and white balance do to the colours: three scales and three offsets, in sRGB, a photo.

They are the photo's own, so they say nothing of the place. Views that are no photo's use the neutral look: the mean
over the photos that were trained on. A code (`appearance: code`) goes into the colour head instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adaptive_nerf.models.architecture import Architecture

AFFINE = 6


@dataclass(frozen=True)
class Appearance:
    kind: str  # affine, code, none
    photo_ids: tuple[int, ...]
    values: Tensor  # [n_photos, 6 or code]; [n_photos, 0] for none
    neutral: Tensor  # [6 or code]

    @classmethod
    def of(cls, architecture: Architecture, photo_ids: Sequence[int], device: torch.device | str = "cpu") -> Appearance:
        width = {"affine": AFFINE, "code": architecture.code_length, "none": 0}[architecture.appearance]
        return cls(architecture.appearance, tuple(photo_ids), torch.zeros(len(photo_ids), width, device=device),
                   torch.zeros(width, device=device))

    def with_photos(self, photo_ids: Sequence[int]) -> Appearance:
        """With room for more photos, which start at the neutral look. Those already there keep theirs."""
        new = [photo_id for photo_id in photo_ids if photo_id not in self.photo_ids]
        values = torch.cat([self.values.detach(), self.neutral.repeat(len(new), 1)])
        return Appearance(self.kind, (*self.photo_ids, *new), values, self.neutral)

    def rows(self, photo_ids: Sequence[int]) -> Tensor:
        """Where photos are kept. -> [n] int64"""
        place = {photo_id: row for row, photo_id in enumerate(self.photo_ids)}
        return torch.tensor([place[photo_id] for photo_id in photo_ids], dtype=torch.int64, device=self.values.device)


def codes(kind: str, values: Tensor) -> Tensor | None:
    """What goes into the colour head. values [n_rays, width]"""
    return values if kind == "code" else None


def as_taken(kind: str, colours: Tensor, values: Tensor) -> Tensor:
    """Colours [n, 3] as the photo shows them. values [n, width] or [width]"""
    if kind != "affine":
        return colours
    return colours * (1 + values[..., :3]) + values[..., 3:]
