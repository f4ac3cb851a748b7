"""Pictures that a person has taken, kept in the job's folder, each with the pose it was taken from."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adaptive_nerf.common.atomic_files import make_folder, write_bytes, write_json
from adaptive_nerf.geometry.frames import FrameName, SceneFrame
from adaptive_nerf.rendering.types import Frame
from adaptive_nerf.viewer.measurements import position_words
from adaptive_nerf.viewer.viewpoints import View, link_query

FORMAT_VERSION = 1
_naming = threading.Lock()


def pose_of(view: View, scene_frame: SceneFrame, frame: Frame | None, mode: str) -> dict[str, Any]:
    """Where a picture was taken from, for programs and for people."""
    to_enu = scene_frame.convert(FrameName.VIEWER, FrameName.ENU)
    position, target = to_enu.points(view.position), to_enu.points(view.look_at)
    east, north, up = position.tolist()
    return {"format_version": FORMAT_VERSION, "position": position_words((east, north, up), scene_frame),
            "position_enu_m": position.tolist(), "look_at_enu_m": target.tolist(),
            "vertical_field_of_view_rad": view.fov_rad, "heading_deg": round(view.heading_deg(), 2),
            "dip_deg": round(view.dip_deg(), 2), "frame": scene_frame.describe(), "shown": mode,
            "model_version": frame.model_version if frame else None, "open_at": "/?" + link_query(view)}


def save_snapshot(folder: Path, png: bytes, pose: dict[str, Any], at: datetime | None = None) -> Path:
    """Write <time>.png and <time>.json; two of one second get different names, also when two people take them."""
    make_folder(folder)
    stem = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%SZ")
    number = 1
    with _naming:
        while (picture := folder / (f"{stem}.png" if number == 1 else f"{stem}_{number}.png")).exists():
            number += 1
        write_bytes(picture, png)
    write_json(picture.with_suffix(".json"), {**pose, "taken_at": (at or datetime.now(UTC)).isoformat()})
    return picture
