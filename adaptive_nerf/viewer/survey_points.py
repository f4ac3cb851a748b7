"""The sparse points of the survey, from the COLMAP model that a scene was prepared from, where that is still there.

The model is read by a process of its own: pycolmap takes SIGTERM for itself as soon as it is imported, and a job that
is asked to stop would die of it.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.data.photos import Photo
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.similarity import Similarity
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.viewer.backend import Points

READER, READ_S, LOOK_S = "adaptive_nerf.data.colmap_reader", 120.0, 0.1
LONGEST_REASON = 200
MOST_POINTS = 60_000  # more make the page slow, and show no more
SAME_PLACE_M = 2.0  # cameras of the model and of the scene may differ by so much
LOOKED_AT = 24  # photos, for colours
NO_PHOTO = np.array([150, 150, 150], np.uint8)  # of points that lie in none of these photos
PIXELS_ACROSS = 400
SPREAD = 0x9E3779B97F4A7C15  # odd: multiplying by it mixes the order of the points


@dataclass(frozen=True)
class Survey:
    """In the model's own frame."""

    names: tuple[str, ...]  # of its photos
    centres: Array  # [n, 3] of their cameras
    points: Array  # [m, 3]


def model_folders(scene_root: Path, data_path: Path, roots: Sequence[Path]) -> list[Path]:
    """Where that model may be: <data_path>/model as a rule. Only within `roots`, where there are any."""
    root = scene_root.resolve()
    places = (root.parent.parent, data_path.resolve(), root.parent, root)
    folders = dict.fromkeys(place / "model" for place in places)
    allowed = [place.resolve() for place in roots]
    return [folder for folder in folders if folder.is_dir() and (
        not allowed or any(folder.resolve().is_relative_to(place) for place in allowed))]


def never() -> bool:
    return False


def survey_points(scene: Scene, model_folder: Path, given_up: Callable[[], bool] = never) -> Points | None:
    """BadData where the model or a photo is damaged, or when `given_up` says so; None where the model is of another
    scene or holds no points."""
    survey = read_survey(model_folder, given_up)
    positions = survey.points[thinned_evenly(len(survey.points))]
    to_scene = scene_from_model(scene, survey)
    if to_scene is None or not len(positions):
        return None
    in_scene = to_scene.points(positions)
    return Points(scene.frame.convert(FrameName.SCENE, FrameName.VIEWER).points(in_scene),
                  colours_by_photos(scene, in_scene))


def read_survey(folder: Path, given_up: Callable[[], bool] = never) -> Survey:
    content = _told_by_reader(folder, given_up)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            names = tuple(json.loads(str(arrays["names"])))
            turns = Rotation.from_quat(arrays["quaternions_xyzw"])
            centres = -turns.inv().apply(arrays["translations"])
            points = arrays["points"][np.isfinite(arrays["points"]).all(1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(folder, f"its reader wrote half of it: {error}") from error
    return Survey(names, centres, points)


def _told_by_reader(folder: Path, given_up: Callable[[], bool]) -> bytes:
    command = [sys.executable, "-m", READER, str(folder.absolute())]
    until = time.monotonic() + READ_S
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while True:
            try:
                content, said = child.communicate(timeout=LOOK_S)
                break
            except subprocess.TimeoutExpired as error:
                if given_up() or time.monotonic() > until:
                    child.kill()
                    raise _unreadable(folder, "it was not done in time") from error
    if child.returncode:
        raise _unreadable(folder, _reason(child.returncode, content, said))
    return content


def _reason(code: int, content: bytes, said: bytes) -> str:
    """A refusal is a JSON object; whatever else ends the reader has its last words on stderr."""
    try:
        return str(json.loads(content)["problem"])
    except (ValueError, KeyError, TypeError):
        last_words = said.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        return f"exit {code}: {last_words[0][:LONGEST_REASON]}"


def _unreadable(folder: Path, why: str) -> BadData:
    return BadData(folder, f"cannot be read ({why})", expected="the COLMAP model that the scene was prepared from")


def thinned_evenly(count: int) -> npt.NDArray[np.int64]:
    """Numbers of the points that are shown: all, or some from everywhere, the same ones each time."""
    if count <= MOST_POINTS:
        return np.arange(count)
    with np.errstate(over="ignore"):
        mixed = np.arange(count, dtype=np.uint64) * np.uint64(SPREAD)
    return np.sort(np.argsort(mixed)[:MOST_POINTS])


def scene_from_model(scene: Scene, survey: Survey) -> Similarity | None:
    """From the model's own frame to scene units; None where its cameras are not those of the scene."""
    by_name = {photo.name: photo for photo in scene.photos}
    known = [place for place, name in enumerate(survey.names) if name in by_name]
    if not known:
        return None
    centres = survey.centres[known]
    expected = np.stack([by_name[survey.names[place]].c2w_scene[:, 3] for place in known])
    if scene.frame.is_georeferenced:
        found = scene.frame.convert(FrameName.ECEF, FrameName.SCENE)
    else:  # the model's own axes; how many metres its unit has, nothing but the cameras tell
        enu = scene.frame.convert(FrameName.SCENE, FrameName.ENU).points(expected)
        metres = float((enu * centres).sum() / max((centres * centres).sum(), 1e-12))
        found = scene.frame.convert(FrameName.ENU, FrameName.SCENE).after(Similarity(scale=metres))
    gap_m = np.abs(found.points(centres) - expected).max() * scene.frame.metres_per_unit
    return found if gap_m < SAME_PLACE_M else None


def colours_by_photos(scene: Scene, places: Array) -> npt.NDArray[np.uint8]:
    """Each place [n, 3] (scene units) in the colour of the nearest of some photos in which it lies. -> [n, 3]"""
    colours = np.broadcast_to(NO_PHOTO, (len(places), 3)).copy()
    nearest_m = np.full(len(places), np.inf)
    photos = scene.split("train") or scene.photos
    for photo in photos[::max(1, len(photos) // LOOKED_AT)]:
        seen, depth_m, picture = _seen_in(photo, scene, places)
        nearer = seen[:, 0] >= 0
        nearer &= depth_m < nearest_m
        colours[nearer] = picture[seen[nearer, 1], seen[nearer, 0]]
        nearest_m[nearer] = depth_m[nearer]
    return colours


def _seen_in(photo: Photo, scene: Scene, places: Array) -> tuple[npt.NDArray[np.int64], Array, npt.NDArray[np.uint8]]:
    """Pixels [n, 2] of a small copy of the photo, -1 outside of it; depths [n]; the small copy."""
    pixels = photo.pixels()
    every = max(1, pixels.shape[1] // PIXELS_ACROSS)
    picture = pixels[::every, ::every]
    height, width = picture.shape[:2]
    at, depth_m = photo.camera(scene.frame.metres_per_unit).resized(width, height).project(places)
    inside = (depth_m > 0) & (at >= 0).all(1) & (at[:, 0] < width) & (at[:, 1] < height)
    return np.where(inside[:, None], np.nan_to_num(at), -1).astype(np.int64), depth_m, picture
