"""A flight through key-frames that somebody wrote: a JSON file, read strictly, flown smoothly.

    {"format_version": 1, "coordinates": "enu", "field_of_view_deg": 60, "loop": false,
     "keyframes": [{"position": [0, -80, 60], "look_at": [0, 0, 0], "time_s": 0},
                   {"position": [80, 0, 40], "look_at": [0, 0, 5], "time_s": 4}]}

`coordinates`: enu (metres East, North, Up of the scene) or geodetic (latitude deg, longitude deg, ellipsoidal height
in m). A key-frame has a `position` and what it looks at, or a `pose`: three rows of four numbers, the camera-to-world
matrix in ENU metres, camera axes right, up, back. Times are stretched to the length of the video; without them all
stretches take equally long. Positions follow a Catmull-Rom curve, rotations go the shortest way (slerp).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, Slerp

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.geometry.geodesy import ecef_from_geodetic
from adaptive_nerf.geometry.types import Array
from adaptive_nerf.pipelines.camera_paths import FIELD_OF_VIEW_DEG, camera_of, heading_and_pitch, upright_pose

LARGEST_FILE_BYTES = 2**24
LARGEST_ROTATION_ERROR = 1e-3
FARTHEST_M = 50_000.0  # from the scene's reference point: farther away somebody mixed up the coordinates
NEAREST_M = 1e-3
Number = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Number, Number, Number]
Row = tuple[Number, Number, Number, Number]
ViewAngle = Annotated[float, Field(ge=1, le=150)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KeyFrame(_Strict):
    position: Triple | None = None
    look_at: Triple | None = None
    pose: tuple[Row, Row, Row] | None = None
    time_s: Number | None = None


class KeyFrameFile(_Strict):
    format_version: Literal[1] = 1
    coordinates: Literal["enu", "geodetic"] = "enu"
    field_of_view_deg: ViewAngle = FIELD_OF_VIEW_DEG
    loop: bool = False
    keyframes: Annotated[tuple[KeyFrame, ...], Field(min_length=2)]


def read_keyframes(path: Path) -> KeyFrameFile:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise BadData(path, "is larger than 16 MiB", expected="key-frames as JSON")
        return KeyFrameFile.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BadData(path, "is missing", expected="a JSON file of key-frames") from error
    except OSError as error:
        raise BadData(path, f"cannot be read: {error.strerror}", expected="a JSON file of key-frames") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or None
        raise BadData(path, first["msg"][0].lower() + first["msg"][1:], key=key) from error


def keyframe_path(path: Path, frame: SceneFrame, frames: int, size: tuple[int, int]) -> list[Camera]:
    """One camera of that size (width, height) for every frame."""
    told = read_keyframes(path)
    poses = np.stack([_pose(key, told, frame, (path, number)) for number, key in enumerate(told.keyframes)])
    times = _times(told, path)
    if told.loop:
        poses = np.concatenate([poses, poses[:1]])
    return [camera_of(pose, size, told.field_of_view_deg)
            for pose in interpolated(poses, times, frames, told.loop)]


def interpolated(poses: Array, times: Array, frames: int, loop: bool) -> Array:
    """Poses [n, 3, 4] at times [n] -> poses [frames, 3, 4] at equal steps from the first to the last.

    Of a loop the last pose is the first again; it is not shown twice.
    """
    wanted = np.linspace(times[0], times[-1], frames, endpoint=not loop)
    positions = CubicHermiteSpline(times, poses[:, :, 3], _tangents(poses[:, :, 3], times, loop))(wanted)
    rotations = Slerp(times, Rotation.from_matrix(poses[:, :, :3]))(wanted).as_matrix()
    return np.concatenate([rotations, positions[..., None]], axis=-1)


def _tangents(positions: Array, times: Array, loop: bool) -> Array:
    """Catmull-Rom: the velocity at a key-frame is that from its predecessor to its successor. [n, 3]"""
    if loop:
        positions = np.concatenate([positions[-2:-1], positions, positions[1:2]])
        times = np.concatenate([[times[0] - (times[-1] - times[-2])], times, [times[-1] + times[1] - times[0]]])
    else:
        positions, times = (np.concatenate([values[:1], values, values[-1:]]) for values in (positions, times))
    return (positions[2:] - positions[:-2]) / (times[2:] - times[:-2])[:, None]


def _times(told: KeyFrameFile, path: Path) -> Array:
    """[n], of a loop [n + 1]: its way back takes as long as its stretches do on average."""
    given = [key.time_s for key in told.keyframes if key.time_s is not None]
    if given and len(given) != len(told.keyframes):
        raise BadData(path, f"{len(given)} of {len(told.keyframes)} key-frames have a time_s", expected="all or none")
    times = np.array(given) if given else np.arange(len(told.keyframes), dtype=float)
    if (np.diff(times) <= 0).any():
        where = int(np.argmax(np.diff(times) <= 0)) + 1
        raise BadData(path, f"is {times[where]:g}, not after the one before", key=f"keyframes.{where}.time_s",
                      expected="times that grow")
    return np.append(times, times[-1] + np.diff(times).mean()) if told.loop else times


def _pose(key: KeyFrame, told: KeyFrameFile, frame: SceneFrame, where: tuple[Path, int]) -> Array:
    path, name = where[0], f"keyframes.{where[1]}"
    if key.pose is not None and key.position is None and key.look_at is None:
        pose = _checked_pose(np.array(key.pose), told, path, name)
    elif key.pose is None and key.position is not None and key.look_at is not None:
        position, target = _enu(np.array([key.position, key.look_at]), told, frame, (path, name))
        if np.linalg.norm(target - position) < NEAREST_M:
            raise BadData(path, "looks at its own position", key=f"{name}.look_at", expected="another place")
        pose = upright_pose(position, *heading_and_pitch(target - position))
    else:
        raise BadData(path, "is incomplete or says too much", key=name, expected="position and look_at, or pose alone")
    if np.abs(pose[:, 3]).max() > FARTHEST_M:
        raise BadData(path, f"is {np.abs(pose[:, 3]).max() / 1000:.0f} km from the scene", key=f"{name}.position",
                      expected=f"a place in the scene; {frame.describe()}")
    return pose


def _checked_pose(pose: Array, told: KeyFrameFile, path: Path, name: str) -> Array:
    if told.coordinates != "enu":
        raise BadData(path, "is in ENU metres, but the coordinates are geodetic", key=f"{name}.pose",
                      expected="position and look_at")
    rotation = pose[:, :3]
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > LARGEST_ROTATION_ERROR or np.linalg.det(rotation) < 0:
        raise BadData(path, "holds no rotation", key=f"{name}.pose", expected="unit columns right, up, back, at right "
                      "angles, then the position")
    return pose


def _enu(points: Array, told: KeyFrameFile, frame: SceneFrame, where: tuple[Path, str]) -> Array:  # [2, 3]
    if told.coordinates == "enu":
        return points
    if (np.abs(points[:, 0]) > 90).any() or (np.abs(points[:, 1]) > 180).any():
        raise BadData(where[0], f"is {points.tolist()}", key=where[1],
                      expected="latitude within 90 degrees, longitude within 180, height in metres")
    return frame.convert(FrameName.ECEF, FrameName.ENU).points(ecef_from_geodetic(points))
