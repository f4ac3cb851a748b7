"""A small town's corner to film, and a job's run around it."""

import json
import signal

import pytest

from adaptive_nerf import nerf_runner
from adaptive_nerf.common.run_progress import Run, RunProgress
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.geometry.frames import SceneFrame
from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.synth.mesh import Material, box, join, quads
from adaptive_nerf.synth.renderer import MeshRenderer
from adaptive_nerf.synth.world import world_of
from tests.unit.data.scene_factory import FRAME, write_scene


@pytest.fixture(scope="session")
def flown_scene(tmp_path_factory):
    """Photos along an east-west line, 60 m above the ground."""
    return open_scene(write_scene(tmp_path_factory.mktemp("scenes") / "line"))


@pytest.fixture(scope="session")
def corner() -> MeshRenderer:
    """Red houses on a green plain at Up -10, where the photos were taken."""
    return corner_in(FRAME)


def corner_in(frame: SceneFrame) -> MeshRenderer:
    plain = quads([[(-300, -300, -10), (300, -300, -10), (300, 300, -10), (-300, 300, -10)]], Material.PLAIN,
                  (0.1, 0.4, 0.1))
    houses = [box((east, -6, -10), (east + 10, 6, -2), Material.PLAIN, (0.6, 0.1, 0.1)) for east in (0.0, 20.0, 40.0)]
    return MeshRenderer(world_of(join([plain, *houses])), frame)


@pytest.fixture
def run_by_runner(tmp_path, monkeypatch):
    """Runs a message in its folder as the service would, in this process. Returns the exit code."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(nerf_runner, "set_up_file", lambda path: None)

    def run(message, out):
        config = tmp_path / "message.json"
        config.write_text(json.dumps(message))
        return nerf_runner.run_job(config, out, [])
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def video_run(tmp_path):
    def make(stop=lambda: False, roots=(), **fields):
        message = {"op": "video", "data_path": "unused", "frames": 12, "fps": 6, "width": 64, "height": 36, **fields}
        out = tmp_path / "job"
        out.mkdir()
        read = job_of(message)
        return Run(read.job, out, RunProgress(out / "progress.json"), stop, roots, read.idle)
    return make
