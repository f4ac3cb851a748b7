import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from adaptive_nerf.common.errors import BadUsage, DiskFull
from adaptive_nerf.common.run_progress import Run, RunProgress, StopRequested
from adaptive_nerf.pipelines.camera_paths import Flown, preset_path
from adaptive_nerf.pipelines.video import film, flown_over
from adaptive_nerf.pipelines.video_file import render_video
from adaptive_nerf.rendering.types import Frame, Output, Quality
from tests.support.small_disk import small_disk

TURN = preset_path("turntable", Flown(0, 50, -20, 20, -10, 50), 12, (64, 36))


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709).to_ndarray()
                for frame in container.decode(video=0)]


class Flat:
    """A renderer of plain colours, a new one for every frame."""

    def __init__(self, colours):
        self.colours = iter(colours)

    def render(self, camera, outputs, quality=Quality.FULL, cancelled=None):
        assert outputs == {Output.RGB}
        colour = np.array(next(self.colours), np.float32)
        return Frame(camera, "flat", quality, rgb=np.broadcast_to(colour, (camera.height, camera.width, 3)))


@pytest.fixture
def progress(tmp_path):
    return RunProgress(tmp_path / "progress.json")


def test_the_video_shows_what_was_rendered(video_run, corner, flown_scene):
    run = video_run()
    result = film(run, corner, flown_scene)
    cameras = preset_path("turntable", flown_over(flown_scene), 12, (64, 36))
    frames = decoded(run.out / "video.mp4")
    assert len(frames) == result.metrics["frames"] == 12
    for frame, camera in zip(frames, cameras, strict=True):
        real = corner.render(camera, frozenset({Output.RGB})).rgb * 255
        assert np.abs(frame - real).mean() < 6
    assert result.artifacts == ("video.mp4",)
    assert result.metrics["duration_s"] == 2.0


def test_it_is_the_kind_of_file_that_browsers_play(video_run, corner, flown_scene):
    run = video_run()
    film(run, corner, flown_scene)
    with av.open(str(run.out / "video.mp4")) as container:
        (stream,) = container.streams
        codec = stream.codec_context
        assert (codec.name, codec.pix_fmt, codec.width, codec.height) == ("h264", "yuv420p", 64, 36)
        assert (stream.average_rate, stream.frames, codec.colorspace) == (6, 12, Colorspace.ITU709)
    content = (run.out / "video.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index is at the front"


def test_colours_come_through(tmp_path, progress):
    colours = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0.5), (0.8, 0.3, 0.1), (1, 1, 1), (0, 0, 0)]
    render_video(Flat(colours), TURN[:7], tmp_path / "a.mp4", 24, progress, lambda: False)
    middles = [frame[18, 32] for frame in decoded(tmp_path / "a.mp4")]
    np.testing.assert_allclose(middles, np.array(colours) * 255, atol=4)


def test_progress_tells_frames_and_the_time_that_is_left(tmp_path, corner):
    told = []

    class Watched(RunProgress):
        def step(self, step, of=None, metrics=None):
            super().step(step, of, metrics)
            self.flush()
            told.append(json.loads((tmp_path / "progress.json").read_text()))
    render_video(corner, TURN[:3], tmp_path / "a.mp4", 24, Watched(tmp_path / "progress.json"), lambda: False)
    assert [(line["step"], line["of"]) for line in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert told[0]["eta_s"] is None
    assert told[1]["eta_s"] >= 0
    assert told[3]["eta_s"] == 0


@pytest.mark.parametrize("asked_times", [0, 3, 9])
def test_a_stop_leaves_no_video_and_no_trace(video_run, corner, flown_scene, asked_times):
    asked = iter(range(100))
    run = video_run(stop=lambda: next(asked) >= asked_times)
    with pytest.raises(StopRequested):
        film(run, corner, flown_scene)
    assert [path.name for path in run.out.iterdir()] == ["progress.json"]


def test_what_a_killed_attempt_left_is_gone_after_the_next(tmp_path, progress, monkeypatch):
    with monkeypatch.context() as killed:  # a killed process cleans nothing
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        killed.setattr(os, "getpid", lambda: 12345)
        with pytest.raises(StopIteration):
            render_video(Flat([(1, 1, 1)] * 70), TURN * 6, tmp_path / "a.mp4", 24, progress, lambda: False)
    assert any("a.mp4." in path.name for path in tmp_path.iterdir())
    render_video(Flat([(1, 1, 1)] * 12), TURN, tmp_path / "a.mp4", 24, progress, lambda: False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "progress.json"]


def test_a_renderer_that_fails_leaves_an_older_video_as_it_was(tmp_path, progress):
    (tmp_path / "a.mp4").write_text("older")
    with pytest.raises(StopIteration):
        render_video(Flat([(1, 1, 1)] * 2), TURN, tmp_path / "a.mp4", 24, progress, lambda: False)
    assert (tmp_path / "a.mp4").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "progress.json"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, progress):
    rng = np.random.default_rng(0)

    class Noise:
        def render(self, camera, outputs, quality=Quality.FULL, cancelled=None):
            return Frame(camera, "noise", quality, rgb=rng.random((camera.height, camera.width, 3), np.float32))
    cameras = [camera.resized(256, 256) for camera in TURN * 4]
    with small_disk(tmp_path / "small", 1) as disk:
        with pytest.raises(DiskFull, match=r"a\.mp4"):
            render_video(Noise(), cameras, disk / "a.mp4", 24, progress, lambda: False)
        assert list(disk.iterdir()) == []


def test_keyframes_rule_over_the_preset(video_run, corner, flown_scene, tmp_path):
    keys = [{"position": [0, -60, 50], "look_at": [20, 0, -10]}, {"position": [60, 0, 20], "look_at": [20, 0, -10]}]
    (tmp_path / "keys.json").write_text(json.dumps({"keyframes": keys}))
    seen = []

    class Watched:
        def render(self, camera, *rest):
            seen.append(camera.c2w[:, 3].tolist())
            return corner.render(camera, *rest)
    film(video_run(frames=3, keyframes=str(tmp_path / "keys.json")), Watched(), flown_scene)
    assert seen[0] == keys[0]["position"]
    assert seen[2] == keys[1]["position"]


def test_keyframes_outside_of_the_roots_are_refused(video_run, corner, flown_scene, tmp_path):
    (tmp_path / "keys.json").write_text("{}")
    run: Run = video_run(roots=(tmp_path / "job",), keyframes=str(tmp_path / "keys.json"))
    with pytest.raises(BadUsage, match="outside"):
        film(run, corner, flown_scene)


def test_the_flown_ground_is_told_by_the_scene(flown_scene):
    flown = flown_over(flown_scene)
    assert (flown.west, flown.east, flown.ground_up_m) == (pytest.approx(0, abs=1e-4), pytest.approx(50), -10.0)
    assert flown.flight_up_m == pytest.approx(50)


def test_too_few_frames_to_cover_the_ground_are_told(video_run, corner, flown_scene):
    run = video_run(frames=3, camera_path="full_coverage")
    film(run, corner, flown_scene)
    (warning,) = json.loads((run.out / "progress.json").read_text())["warnings"]
    assert "3 frames flies too fast" in warning


def test_fields_without_effect_on_a_video_are_told(video_run, corner, flown_scene):
    run = video_run(frames=1, downscale=0.5, seed=3)
    film(run, corner, flown_scene)
    assert [text.split(":")[0] for text in run.progress.warnings] == ["downscale has no effect in video",
                                                                     "seed has no effect in video"]
