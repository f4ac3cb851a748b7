"""Which photos of a later model come into a scene: the new ones, whose cameras the scene's cube can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from adaptive_nerf.common.errors import BadInput, BadUsage
from adaptive_nerf.common.say import say
from adaptive_nerf.data.colmap import ColmapImage, ColmapModel, first_few
from adaptive_nerf.data.frame_choice import require_ecef, require_local, scene_pose
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.geometry.frames import SceneFrame, c2w_from_colmap
from adaptive_nerf.geometry.types import Array

OnOverflow = Literal["abort", "clip"]
ROUNDING = 1e-6
SAME_PLACE_UNITS, SLIGHTLY_OFF_UNITS = 0.05, 0.01
SAME_POSE = 1e-4  # scene units, and of a rotation's numbers


@dataclass(frozen=True)
class PosedImage:
    image: ColmapImage
    c2w_scene: Array  # [3, 4] float64


def in_scene_units(model: ColmapModel, frame: SceneFrame, metres_per_unit: float,
                   warnings: list[str]) -> list[PosedImage]:
    c2w_model = c2w_from_colmap(np.stack([image.world_to_camera for image in model.images]))
    centres, names = c2w_model[:, :, 3], [image.name for image in model.images]
    if frame.is_georeferenced:
        if metres_per_unit != 1:
            raise BadUsage("--metres_per_unit is for scenes without geo-reference; this one's models are in ECEF")
        require_ecef(centres, names, remedy="the scene is georeferenced, so align the later model to GPS as well "
                                            "(colmap model_aligner)")
    else:
        require_local(centres, warnings, remedy="prepare the scene anew with --ecef_to_enu, it has no geo-reference")
        say(f"no geo-reference: a unit of the model is taken for {metres_per_unit:g} m (--metres_per_unit)")
    return [PosedImage(image, scene_pose(frame, c2w, metres_per_unit))
            for image, c2w in zip(model.images, c2w_model, strict=True)]


def new_images(posed: Sequence[PosedImage], others: Sequence[Photo], metres_per_unit: float,
               warnings: list[str]) -> tuple[list[PosedImage], int]:
    """Images that the scene does not have, and the number of those that it has.

    An extended reconstruction holds the old photos too; where they stand tells whether its frame is the scene's.
    """
    places = {photo.name: photo.c2w_scene[:, 3] for photo in others}
    known = [item for item in posed if item.image.name in places]
    poses = np.stack([photo.c2w_scene for photo in others])
    unnamed = [item for item in posed if item.image.name not in places]
    renamed = [item.image.name for item in unnamed if _is_taken(item.c2w_scene, poses)]
    fresh = [item for item in unnamed if item.image.name not in renamed]
    if renamed:
        warnings.append(f"{len(renamed)} photos of the model stand and look exactly as photos of the scene do, under "
                        f"other names, and are left out: {first_few(renamed)}")
    if known:
        moved = np.array([np.linalg.norm(item.c2w_scene[:, 3] - places[item.image.name]) for item in known])
        _judge_moves(moved, [item.image.name for item in known], metres_per_unit, warnings)
        say(f"{len(known)} photos of the model are in the scene already and are left out")
    if not fresh:
        raise BadInput(f"all {len(posed)} photos of the model are in the scene already; there is nothing to add")
    return fresh, len(known) + len(renamed)


def _is_taken(c2w: Array, poses: Array) -> bool:  # [3, 4], [n, 3, 4]
    """No two photos are taken at one pose: such a one is the scene's own, whose original name is not on record."""
    return bool((np.abs(poses - c2w) < SAME_POSE).all((1, 2)).any())


def tell_unproven_frame(frame: SceneFrame, known: int, warnings: list[str]) -> None:
    """A survey's own grid needs no common photos, but two free reconstructions have nothing in common."""
    if not (known or frame.is_georeferenced):
        warnings.append("the scene has no geo-reference and the model none of its photos, so nothing tells whether "
                        "both have one frame; unless a survey gave them one, extend the first model by the new photos")


def _judge_moves(moved: Array, names: list[str], metres_per_unit: float, warnings: list[str]) -> None:
    """`moved` [n]: scene units between where the scene and the later model have a photo of one name."""
    far = [names[index] for index in np.flatnonzero(moved > SAME_PLACE_UNITS)]
    most_m = float(moved.max()) * metres_per_unit
    if far:
        raise BadInput(f"{len(far)} photos have names that the scene has, but stand up to {most_m:.1f} m away from "
                       f"there: {first_few(far)}; if they are other photos, put them into a sub-folder of their own, "
                       f"else align the model to the scene's")
    if moved.max() > SLIGHTLY_OFF_UNITS:
        warnings.append(f"photos that the scene has stand up to {most_m:.2f} m away from there in the later model; "
                        f"the new ones may be off by as much")


def cube_of(photos: Sequence[Photo]) -> float:
    """Scene units from the middle, on every axis: 1, or as far as the scene's own cameras stand (camera_p99)."""
    return max(1.0, float(np.abs([photo.c2w_scene[:, 3] for photo in photos]).max()))


def within_cube(fresh: Sequence[PosedImage], on_overflow: OnOverflow,
                limit: float) -> tuple[list[PosedImage], list[str]]:
    """The images whose cameras the scene can hold, and the names of the others."""
    reach = {item.image.name: float(np.abs(item.c2w_scene[:, 3]).max()) for item in fresh}
    outside = [name for name, units in reach.items() if units > limit + ROUNDING]
    if outside and (on_overflow == "abort" or len(outside) == len(fresh)):
        advice = "prepare the scene anew with both flights" + (
            ", or leave these photos out with --on_overflow clip" if len(outside) < len(fresh) else "")
        raise BadInput(f"{len(outside)} of {len(fresh)} new cameras lie outside of the scene's cube (up to "
                       f"{max(reach.values()):.2f} scene units from its middle, {limit:.4g} is the limit): "
                       f"{first_few(outside)}; {advice}")
    return [item for item in fresh if reach[item.image.name] <= limit + ROUNDING], outside
