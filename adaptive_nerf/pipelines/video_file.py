"""Frames of a renderer into an MP4 that every browser plays: H.264, 4:2:0, its index at the front."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.run_progress import RunProgress, StopRequested
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.pipelines.pictures import Pixels, photo_pixels
from adaptive_nerf.rendering.types import Output, Quality, RenderCancelled, Renderer

ENCODER = "libx264"
ENCODER_OPTIONS = {"crf": "20", "preset": "medium", "profile": "high"}  # 20: hard to tell from the frames
SECONDS_BETWEEN_KEY_PICTURES = 2  # so that people can jump about in it
RGB = frozenset({Output.RGB})


def render_video(renderer: Renderer, cameras: Sequence[Camera], path: Path, fps: int, progress: RunProgress,
                 stop: Callable[[], bool]) -> None:
    """One frame a camera, all of one size with even sides. Stopped or failed, it leaves nothing at `path`."""
    with _whole_or_absent(path) as temporary, atomic_files.disk_full_named(path), \
            av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = _stream(container, cameras[0], fps)
        progress.step(0, len(cameras))
        for number, camera in enumerate(cameras):
            frame = av.VideoFrame.from_ndarray(_picture(renderer, camera, stop), format="rgb24")
            container.mux(stream.encode(_as_video(frame)))
            progress.step(number + 1, len(cameras))
        container.mux(stream.encode(None))


def _picture(renderer: Renderer, camera: Camera, stop: Callable[[], bool]) -> Pixels:
    try:
        if stop():
            raise RenderCancelled
        frame = renderer.render(camera, RGB, Quality.FULL, stop)
    except RenderCancelled as cancelled:
        raise StopRequested("stopped; no video was made, for half of one would be of no use") from cancelled
    if frame.rgb is None:
        raise TypeError(f"{type(renderer).__name__} made a frame without colour")
    return photo_pixels(frame.rgb)


def _stream(container: av.container.OutputContainer, camera: Camera, fps: int) -> VideoStream:
    """The colours are named, or players guess them from the picture's size."""
    stream = container.add_stream(ENCODER, rate=fps, options=ENCODER_OPTIONS)
    stream.width, stream.height, stream.pix_fmt = camera.width, camera.height, "yuv420p"
    stream.gop_size = SECONDS_BETWEEN_KEY_PICTURES * fps
    stream.color_range, stream.colorspace = ColorRange.MPEG, Colorspace.ITU709
    stream.color_primaries, stream.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _as_video(frame: av.VideoFrame) -> av.VideoFrame:
    return frame.reformat(format="yuv420p", src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG,
                          dst_colorspace=Colorspace.ITU709)


@contextmanager
def _whole_or_absent(path: Path) -> Iterator[Path]:
    """A temporary name beside the file, which it gets when all is on the disk. Always the same one: what a killed
    attempt left is written over by the next."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    atomic_files.fsync_folder(path.parent)
