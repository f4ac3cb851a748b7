"""The operation `video`: a flight through a trained scene as `video.mp4` in the job's folder."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from adaptive_nerf.common.run_progress import Result, Run
from adaptive_nerf.data.scene import Scene
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.jobs.spec import Video
from adaptive_nerf.pipelines.camera_paths import Flown, frames_to_cover, preset_path
from adaptive_nerf.pipelines.keyframes import keyframe_path
from adaptive_nerf.pipelines.opening import open_renderer, require_inside, set_up_arithmetic, tell_idle
from adaptive_nerf.pipelines.video_file import render_video
from adaptive_nerf.rendering.types import Renderer

NAME = "video.mp4"


def make_video(run: Run[Video]) -> Result:
    set_up_arithmetic(run)
    renderer, scene = open_renderer(run)
    return film(run, renderer, scene)


def film(run: Run[Video], renderer: Renderer, scene: Scene) -> Result:
    """With any renderer that knows the scene's frame."""
    spec, path, began = run.spec, run.out / NAME, time.monotonic()
    tell_idle(run, ("downscale",), "width and height say how large the pictures are")
    tell_idle(run, ("seed",), "nothing in it is random")
    cameras = cameras_of(run, scene)
    render_video(renderer, cameras, path, spec.fps, run.progress, run.stop_requested)
    took_s = time.monotonic() - began
    return Result((NAME,), {"frames": len(cameras), "duration_s": len(cameras) / spec.fps, "took_s": took_s,
                            "frame_s": took_s / len(cameras), "size_bytes": path.stat().st_size})


def cameras_of(run: Run[Video], scene: Scene) -> list[Camera]:
    spec = run.spec
    size = spec.width, spec.height
    if spec.keyframes:
        keyframes = require_inside("keyframes", Path(spec.keyframes), run.roots)
        return keyframe_path(keyframes, scene.frame, spec.frames, size)
    flown = flown_over(scene)
    if spec.camera_path == "full_coverage" and spec.frames < frames_to_cover(flown, size):
        run.progress.warn(f"full_coverage in {spec.frames} frames flies too fast to show all of the ground; "
                          f"{frames_to_cover(flown, size)} frames would")
    return preset_path(spec.camera_path, flown, spec.frames, size)


def flown_over(scene: Scene) -> Flown:
    """By the photos of the first flight; the ground is the lowest point of the scene."""
    to_enu = scene.frame.convert(FrameName.SCENE, FrameName.ENU)
    positions = to_enu.points(np.stack([photo.c2w_scene[:, 3] for photo in scene.photos]))
    return Flown.by(positions, scene.frame.altitude_range_enu_m[0])
