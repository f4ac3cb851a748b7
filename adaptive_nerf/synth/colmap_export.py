"""The flight as a COLMAP model in ECEF: one PINHOLE camera, exact poses, points with exact observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap

from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName, SceneFrame, colmap_from_c2w
from adaptive_nerf.synth.shots import Shot, Tracks

CAMERA_ID = 1


def write_model(folder: Path, shots: list[Shot], tracks: list[Tracks], frame: SceneFrame) -> int:
    """Write cameras, images and points3D; returns how many points were seen twice or more."""
    enu_points, colours, seen = _shared_places(tracks)
    points = frame.convert(FrameName.ENU, FrameName.ECEF).points(enu_points)
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(_camera(shots[0].camera))
    keypoints = [seen[seen[:, 1] == shot.rank] for shot in shots]
    for shot, mine in zip(shots, keypoints, strict=True):
        image = pycolmap.Image(name=shot.name, keypoints=np.ascontiguousarray(mine[:, 2:]), camera_id=CAMERA_ID,
                               image_id=shot.rank + 1)
        model.add_image_with_trivial_frame(image, _pose(shot.camera, frame))
    elements: list[list[pycolmap.TrackElement]] = [[] for _ in points]
    for shot, mine in zip(shots, keypoints, strict=True):
        for index, point in enumerate(mine[:, 0].astype(int)):
            elements[point].append(pycolmap.TrackElement(shot.rank + 1, index))
    for point, colour, track in zip(points, colours, elements, strict=True):
        model.add_point3D(point, pycolmap.Track(track), colour)
    model.update_point_3d_errors()
    folder.mkdir(parents=True, exist_ok=True)
    model.write_binary(folder)
    return len(points)


def _shared_places(tracks: list[Tracks]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The places of all photos that at least two of them see, numbered through."""
    points, colours, seen, count = [], [], [], 0
    for own in tracks:
        times = np.bincount(own.seen[:, 0].astype(int), minlength=len(own.points))
        kept = times >= 2
        number = count + np.cumsum(kept) - 1
        rows = own.seen[kept[own.seen[:, 0].astype(int)]].copy()
        rows[:, 0] = number[rows[:, 0].astype(int)]
        points.append(own.points[kept])
        colours.append(own.colours[kept])
        seen.append(rows)
        count += int(kept.sum())
    return np.concatenate(points), np.concatenate(colours), np.concatenate(seen)


def _camera(camera: Camera) -> pycolmap.Camera:
    return pycolmap.Camera(camera_id=CAMERA_ID, model="PINHOLE", width=camera.width, height=camera.height,
                           params=[camera.fx, camera.fy, camera.cx, camera.cy])


def _pose(camera: Camera, frame: SceneFrame) -> pycolmap.Rigid3d:
    return pycolmap.Rigid3d(colmap_from_c2w(camera.in_frame(FrameName.ECEF, frame).c2w))
