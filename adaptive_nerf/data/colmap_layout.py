"""The byte layout of COLMAP's files, just enough to tell a whole file from a cut one.

pycolmap trusts the counts in a binary file: a truncated points3D.bin keeps it busy for ever, a truncated cameras.bin
gives it random numbers. So every record is walked over before pycolmap sees the file.
"""

import math
import struct
from collections.abc import Callable
from pathlib import Path

import pycolmap

from adaptive_nerf.common.errors import BadData

POSE_BYTES = 7 * 8  # quaternion, translation
Walk = Callable[[bytes, int], int]  # content, start of a record -> its end


def require_whole_binary(path: Path) -> None:
    """Refuse a file that ends before its last record does."""
    content = path.read_bytes()
    done, count, at = 0, 0, 0
    try:
        (count,) = struct.unpack_from("<Q", content)
        at = 8
        for _ in range(count):
            at = WALKS[path.stem](content, at)
            if at > len(content):
                break
            done += 1
    except (struct.error, ValueError):  # a field, or the end of a name, lies behind the end of the file
        pass
    if not content or done < count or at == 0:
        raise BadData(path, f"is cut off or damaged: its {len(content)} bytes hold {done} of {count} records",
                      expected="a whole COLMAP file; copy it again")


def names_in_text(path: Path) -> dict[int, str]:
    """Image names by id in images.txt.

    pycolmap ends a name at its first space, and refuses a NaN without saying where.
    """
    names: dict[int, str] = {}
    is_pose_line = True  # poses and observations take turns
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if is_pose_line and (not line.strip() or line.startswith("#")):
            continue
        if is_pose_line:
            image_id, name = _id_and_name(path, number, line)
            names[image_id] = name
        is_pose_line = not is_pose_line
    return names


def _id_and_name(path: Path, number: int, line: str) -> tuple[int, str]:
    expected = "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"
    fields = line.split(maxsplit=9)
    try:
        image_id, pose = int(fields[0]), [float(field) for field in fields[1:8]]
    except ValueError as error:
        raise BadData(path, f"line {number} is no image: {line[:60]!r}", expected=expected) from error
    if len(fields) < 10:
        raise BadData(path, f"line {number} has {len(fields)} fields", expected=expected)
    if not all(map(math.isfinite, pose)):
        raise BadData(path, f"the pose of {fields[9]} holds NaN or infinity", expected="finite numbers")
    return image_id, fields[9].rstrip()


def _camera_end(content: bytes, at: int) -> int:
    _, model, _, _ = struct.unpack_from("<IiQQ", content, at)
    name = pycolmap.CameraModelId(model)
    return at + 24 + 8 * len(pycolmap.Camera.create_from_model_id(1, name, 1.0, 1, 1).params)


def _image_end(content: bytes, at: int) -> int:
    name_end = content.index(b"\0", at + 4 + POSE_BYTES + 4)
    (observations,) = struct.unpack_from("<Q", content, name_end + 1)
    return name_end + 9 + int(observations) * 24


def _point_end(content: bytes, at: int) -> int:
    (track_length,) = struct.unpack_from("<Q", content, at + 43)
    return at + 51 + int(track_length) * 8


def _rig_end(content: bytes, at: int) -> int:
    _, sensors = struct.unpack_from("<II", content, at)
    at += 8 + (8 if sensors else 0)
    for _ in range(max(0, sensors - 1)):
        (has_pose,) = struct.unpack_from("<B", content, at + 8)
        at += 9 + (POSE_BYTES if has_pose else 0)
    return at


def _frame_end(content: bytes, at: int) -> int:
    (data,) = struct.unpack_from("<I", content, at + 8 + POSE_BYTES)
    return at + 8 + POSE_BYTES + 4 + int(data) * 16


WALKS: dict[str, Walk] = {"cameras": _camera_end, "images": _image_end, "points3D": _point_end,
                          "rigs": _rig_end, "frames": _frame_end}
