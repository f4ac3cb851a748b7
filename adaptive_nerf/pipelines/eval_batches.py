"""Which photos a model is adapted on together, and which of them, or which others, it is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.pipelines.eval_records import Protocol

EVERY = 4  # of held-out photos
Photo = TypeVar("Photo")


@dataclass(frozen=True)
class Batch(Generic[Photo]):
    adapted: tuple[Photo, ...]
    scored: tuple[Photo, ...]


def batches_of(photos: Sequence[Photo], protocol: Protocol, size: int) -> list[Batch[Photo]]:
    """`size` photos at a time, in their order.

    same_images: all of a batch are adapted on, and scored. held_out: every fourth is scored, of fewer than four the
    last; the others are adapted on. A remainder of fewer than four joins the batch before it.
    """
    cuts = list(range(0, len(photos), size))
    if protocol == "same_images":
        return [Batch(tuple(photos[cut:cut + size]), tuple(photos[cut:cut + size])) for cut in cuts]
    if min(size, len(photos)) < 2:
        raise BadUsage(f"held_out needs two photos a batch, one to adapt on and one to score; there are {len(photos)}, "
                       f"in batches of {size}: raise test_batch_size, add photos, or choose protocol same_images")
    if len(cuts) > 1 and len(photos) - cuts[-1] < min(EVERY, size):
        cuts.pop()
    return [_held_out(photos[cut:end]) for cut, end in zip(cuts, [*cuts[1:], len(photos)], strict=True)]


def _held_out(photos: Sequence[Photo]) -> Batch[Photo]:
    places = set(range(EVERY - 1, len(photos), EVERY)) or {len(photos) - 1}
    return Batch(tuple(photo for place, photo in enumerate(photos) if place not in places),
                 tuple(photo for place, photo in enumerate(photos) if place in places))
