"""One photo of the town with everything that is true of it: picture, depth, normals, mask, change, tracks.

A shot is a pure function of its request, so shots can be made in any order by any number of processes.
Tracks are places seen by the photo's own random pixels, with all the photos of the flight that see them too.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from adaptive_nerf.common.atomic_files import write_bytes
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.rays import camera_rays, pixel_centres
from adaptive_nerf.synth.exposures import Exposure
from adaptive_nerf.synth.influence import Influence
from adaptive_nerf.synth.randomness import generator
from adaptive_nerf.synth.rays import Caster
from adaptive_nerf.synth.renderer import MeshRenderer
from adaptive_nerf.synth.world import World

JPEG_QUALITY = 95
POINTS_PER_PHOTO = 240
POINTS_WITHIN_M, POINTS_WITHIN_HEIGHTS = 260.0, 3.0  # the farther of the two, from the camera
CHANGED_SRGB = 2.0 / 255  # the smallest difference that counts as a change
CHANGED_DEPTH_M = 0.02
EXIF_IFD, EXIF_TAKEN_AT = 0x8769, 0x9003
FIRST_PHOTO_AT = datetime(2025, 6, 14, 10, 30)  # local time of the place


@dataclass(frozen=True)
class Shot:
    """What to photograph, and how."""

    rank: int  # by name, within its flight
    name: str
    camera: Camera  # ENU
    exposure: Exposure
    taken_at: datetime

    @property
    def stem(self) -> str:
        return f"{self.rank:03d}"


def taken_at(day: int, number: int) -> datetime:
    return FIRST_PHOTO_AT + timedelta(days=day, seconds=3 * number)


def picture_and_truth(shot: Shot, world: World, other: World | None = None,
                      influence: Influence | None = None) -> dict[str, npt.NDArray]:
    """The photo (bytes [h, w, 3]) and truth by name; change only where there is another world to compare with."""
    camera, renderer = shot.camera, MeshRenderer(world)
    size = (camera.height, camera.width)
    pixels = pixel_centres(camera.width, camera.height)
    srgb = shot.exposure.develop(renderer.linear_colour(camera, pixels))
    surfaces = renderer.surfaces(camera, pixels)
    made = {"photo": np.round(srgb * 255).astype(np.uint8).reshape(*size, 3),
            "depth": surfaces["depth_m"].reshape(size), "normal": surfaces["normal"].reshape(*size, 3),
            "mask": (surfaces["opacity"] > 0).reshape(size)}
    if other is not None and influence is not None:
        candidates = influence.pixels(camera, surfaces["depth_m"])
        change = _change(shot, MeshRenderer(other), candidates, (srgb, surfaces["depth_m"]))
        made["change"] = change.reshape(size)
    return made


def _change(shot: Shot, other: MeshRenderer, candidates: npt.NDArray[np.int64],
            here: tuple[npt.NDArray, npt.NDArray]) -> npt.NDArray[np.bool_]:
    """Where the other world looks different in this photo, or lies at another depth. [n]"""
    camera, (srgb, depth) = shot.camera, here
    result = np.zeros(len(srgb), bool)
    if len(candidates):
        pixels = pixel_centres(camera.width, camera.height)[candidates]
        seen = shot.exposure.develop(other.linear_colour(camera, pixels))
        other_depth = other.surfaces(camera, pixels)["depth_m"]
        moved = np.abs(np.nan_to_num(other_depth, nan=1e6) - np.nan_to_num(depth[candidates], nan=1e6))
        differs = np.abs(seen - srgb[candidates]).max(-1) > CHANGED_SRGB
        result[candidates] = differs | (moved > CHANGED_DEPTH_M)
    return result


@dataclass(frozen=True)
class Tracks:
    """Places on surfaces and where photos of the flight see them."""

    points: npt.NDArray[np.float64]  # [n, 3] ENU metres
    colours: npt.NDArray[np.uint8]  # [n, 3]
    seen: npt.NDArray[np.float64]  # [m, 4]: point, rank of the photo, x, y in its pixels


def tracks(shot: Shot, shots: list[Shot], world: World, photo: npt.NDArray[np.uint8], seed: int) -> Tracks:
    camera = shot.camera
    rng = generator(seed, f"tracks {shot.name}")
    pixels = rng.uniform((0, 0), (camera.width, camera.height), (POINTS_PER_PHOTO, 2))
    rays = camera_rays(camera, pixels)
    far_m = max(POINTS_WITHIN_M, POINTS_WITHIN_HEIGHTS * float(camera.c2w[2, 3]))
    hits = world.caster.nearest(rays.origins, rays.directions, far_m=far_m)
    column, row = pixels[hits.ray].astype(int).T
    seen = []
    for viewer in shots:
        where, visible = _views(viewer.camera, hits.point, hits.normal, world.caster)
        if viewer.rank == shot.rank:
            visible[:] = True
        index = np.flatnonzero(visible)
        seen.append(np.column_stack([index, np.full(len(index), viewer.rank), where[index]]))
    return Tracks(hits.point, photo[row, column], np.concatenate(seen))


def _views(camera: Camera, points: npt.NDArray, normals: npt.NDArray,
           caster: Caster) -> tuple[npt.NDArray, npt.NDArray[np.bool_]]:
    """Where a camera sees points [n, 3], and whether it does: in the picture, from the front, nothing between."""
    where, depth = camera.project(points)
    visible = (depth > 0) & np.all((where > 0.5) & (where < [camera.width - 0.5, camera.height - 0.5]), axis=-1)
    index = np.flatnonzero(visible)
    away = camera.c2w[:, 3] - points[index]
    distance = np.linalg.norm(away, axis=-1)
    toward = away / distance[:, None]
    front = (toward * normals[index]).sum(-1) > 0.05
    visible[index] = front & ~caster.blocked(points[index], normals[index], toward, distance - 0.05)
    return where, visible


def write_shot(folder: Path, notes: Path, shot: Shot, made: dict[str, npt.NDArray], places: Tracks) -> None:
    """All files of a shot; the tracks last, as the sign that the others are there."""
    write_bytes(folder / "images" / shot.name, _jpeg(made["photo"], shot.taken_at))
    for name in ("depth", "normal", "mask", "change"):
        if name in made:
            write_bytes(folder / "truth" / f"{shot.stem}_{name}.npy", _npy(made[name]))
    content = io.BytesIO()
    np.savez(content, points=places.points, colours=places.colours, seen=places.seen)
    write_bytes(tracks_path(notes, shot), content.getvalue())


def tracks_path(notes: Path, shot: Shot) -> Path:
    return notes / f"{shot.name}.npz"


def read_tracks(path: Path) -> Tracks:
    with np.load(path, allow_pickle=False) as stored:
        return Tracks(stored["points"], stored["colours"], stored["seen"])


def _npy(array: npt.NDArray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _jpeg(photo: npt.NDArray[np.uint8], when: datetime) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[EXIF_TAKEN_AT] = when.strftime("%Y:%m:%d %H:%M:%S")
    content = io.BytesIO()
    Image.fromarray(photo).save(content, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=exif)
    return content.getvalue()
