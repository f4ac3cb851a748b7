"""The old photos of an evaluation: some are replayed while a flight is absorbed, others tell what was forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adaptive_nerf.common.run_progress import Run
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.ray_store import LoadedPhoto
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.jobs.spec import Eval
from adaptive_nerf.pipelines.adaptation import OLD_PHOTOS, evenly
from adaptive_nerf.pipelines.opening import flight_photos, photos_in_memory

WATCHED = 12  # every one is rendered for every number of steps
MOST_SHARE_WATCHED = 1 / 4  # of the train photos: the others are there for replay


@dataclass(frozen=True)
class OldPhotos:
    """No photo is in both: one that is replayed cannot tell what is forgotten."""

    replayed: tuple[LoadedPhoto, ...]  # train photos
    watched: tuple[LoadedPhoto, ...]
    trained_on: bool  # the watched ones are train photos, not val photos


def old_photos_of(run: Run[Eval], scene: Scene) -> OldPhotos:
    watched, replayed, trained_on = chosen(scene, run.spec.batch)
    loaded = photos_in_memory(run, [*watched, *replayed], scene)
    return OldPhotos(tuple(loaded[len(watched):]), tuple(loaded[:len(watched)]), trained_on)


def chosen(scene: Scene, batch: str) -> tuple[Sequence[Photo], Sequence[Photo], bool]:
    """Watched, replayed, whether the watched were trained on. After a later flight val photos are watched; where these
    are adapted on themselves, train photos.
    """
    val, train = flight_photos(scene, ""), scene.split("train")
    trained_on = not (batch and val)
    watched = evenly(train, min(WATCHED, int(len(train) * MOST_SHARE_WATCHED))) if trained_on else evenly(val, WATCHED)
    ids = {photo.photo_id for photo in watched}
    return watched, evenly([photo for photo in train if photo.photo_id not in ids], OLD_PHOTOS), trained_on
