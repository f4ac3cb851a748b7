"""Pictures of a model from where photos were taken, and how near they come to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adaptive_nerf.common.run_progress import StopRequested
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.engine import draws
from adaptive_nerf.models.mixture import Mixture
from adaptive_nerf.pipelines.metrics import PhotoScore, Truth, score_photo
from adaptive_nerf.rendering.types import Frame, Output, Quality, RenderCancelled, never_cancelled

RGB_AND_DEPTH = frozenset({Output.RGB, Output.DEPTH})


def picture_from(mixture: Mixture, photo: LoadedPhoto, outputs: frozenset[Output] = frozenset({Output.RGB}),
                 stopped: Callable[[], bool] = never_cancelled) -> Frame:
    """In full quality, at the photo's working size."""
    try:
        return mixture.render(photo.camera, outputs, Quality.FULL, stopped)
    except RenderCancelled as error:
        raise StopRequested("stopped while pictures were scored") from error


def score_photos(mixture: Mixture, photos: Sequence[LoadedPhoto],
                 stopped: Callable[[], bool] = never_cancelled) -> list[PhotoScore]:
    """Photos without a valid pixel are left out."""
    scores = []
    for photo in photos:
        frame = picture_from(mixture, photo, stopped=stopped)
        score = score_photo(frame.rgb, Truth(photo.colours, photo.valid))  # type: ignore[arg-type]
        scores += [score] if score else []
    return scores


def spread(photos: Sequence[LoadedPhoto], count: int, seed: int) -> list[LoadedPhoto]:
    """A fixed choice of photos, evenly over the list."""
    if count >= len(photos):
        return list(photos)
    stride = len(photos) / count
    first = draws.stream(seed, "scored photos") % max(1, int(stride))
    return [photos[min(len(photos) - 1, first + int(place * stride))] for place in range(count)]
