"""Trainings of the tiny scene, with an occupancy as coarse as the scene is small."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from adaptive_nerf.common.run_progress import Result, Run
from adaptive_nerf.engine import precision
from adaptive_nerf.pipelines import build, joint
from adaptive_nerf.pipelines.meta_training import Training, prepare, train
from adaptive_nerf.pipelines.opening import partition_of, photos_in_memory, scene_of
from adaptive_nerf.pipelines.trackers import Tracker
from tests.unit.pipelines.training.factory import Heard, training_run, write_training_scene


@pytest.fixture(scope="session")
def training_scene(tmp_path_factory) -> Path:
    return write_training_scene(tmp_path_factory.mktemp("scenes") / "tiny")


@pytest.fixture(autouse=True)
def small_world(monkeypatch):
    monkeypatch.setattr(build, "CELLS_ALONG_LONGEST_SIDE", 64)
    monkeypatch.setattr(precision, "_wish", [False])


@pytest.fixture
def lively_occupancy(monkeypatch):
    """It changes within the few steps of a test."""
    monkeypatch.setattr(joint, "REBUILD_EVERY", 2)
    monkeypatch.setattr(joint, "HELD_STEPS", 0)
    monkeypatch.setattr(joint, "DECAY", 0.6)


@dataclass(frozen=True)
class Done:
    out: Path
    result: Result
    progress: Heard


@pytest.fixture
def train_job(training_scene, tmp_path):
    """Runs a job as the runner does, in this process."""
    def run(name: str = "job", stop=lambda: False, **fields) -> Done:
        job = training_run(training_scene, tmp_path / name, stop, **fields)
        return Done(job.out, train(job), job.progress)
    return run


@pytest.fixture
def prepared(training_scene, tmp_path):
    """A training that has not begun, to look into and to step."""
    trackers = []

    def make(name: str = "prepared", **fields) -> Training:
        run: Run = training_run(training_scene, tmp_path / name, **fields)
        scene = scene_of(run)
        trackers.append(Tracker(run.out))
        return prepare(run, scene, partition_of(run.spec, scene), photos_in_memory(run, scene.photos, scene),
                       trackers[-1])
    yield make
    for tracker in trackers:
        tracker.close()
