"""A tiny town on real Apache Kafka: a mediator, a trained model, and `view` jobs that people look at.

In a test file: `from tests.support.view_job import look, service, trained  # noqa: F401`, with `real_kafka` too.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from adaptive_nerf.data.scene import Scene, open_scene
from adaptive_nerf.geometry.cameras import Camera
from adaptive_nerf.jobs.launch import default_runner
from adaptive_nerf.models.checkpoint import open_checkpoint
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.mixture import Mixture
from adaptive_nerf.viewer.access import key_of_job
from adaptive_nerf.viewer.overview import overview_of
from adaptive_nerf.viewer.viewpoints import picture_size
from adaptive_nerf.viewer.wishes import AUTO_PIXELS
from kafka_utils.node import free_port
from tests.support.town_page_truth import WINDOW, window_camera
from tests.support.waiting import wait_until
from tests.support.world import World, topic_for

PARTITION = "g22_grid_bm105_ss11"
TRAIN = {"op": "train", "mask_dirname": PARTITION, "num_submodules": 4, "algo": "joint", "outer_steps": 160,
         "log2_hashmap_size": 13, "levels": 4, "rays": 1024, "samples": 16384, "eval_step": 80, "save_step": 80}


class Service:
    """A mediator over the data of a town, whose jobs are looked at."""

    def __init__(self, world: World, data: Path):
        self.world, self.data = world, data

    @cached_property
    def scene(self) -> Scene:
        return open_scene(self.data / "drz" / "out" / "prepared")

    def send(self, job_id: str, **job: object) -> None:
        self.world.ledger.send(job_id, **job, data_path=str(self.data / "drz"), data_dirname="prepared", downscale=1.0,
                               gpus=0)
        self.world.ledger.flush()

    def view(self, job_id: str, **fields: object) -> Looked:
        """Sends a `view` job, and waits until its page is open."""
        port = free_port()
        self.send(job_id, **{"op": "view", "checkpoint_path": "town", "viewer_host": "127.0.0.1", "viewer_port": port,
                             "support_rays": 512, **fields})
        looked = Looked(self, job_id, port)
        wait_until(looked.answers, f"the page of {job_id}", 60)
        return looked


@dataclass(frozen=True)
class Looked:
    """A `view` job whose page is open."""

    service: Service
    job_id: str
    port: int

    @property
    def folder(self) -> Path:
        return self.service.world.logs / self.job_id

    @property
    def key(self) -> str:
        return key_of_job(self.folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.key}"

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200) and (self.folder / "viewer_url").exists()
        except OSError:
            return False

    def kill(self) -> None:
        """The runner, as a crash would."""
        newest = max((self.folder / "attempts").iterdir(), key=lambda folder: int(folder.name))
        os.kill(json.loads((newest / "started.json").read_bytes())["runner_pid"], signal.SIGKILL)


@dataclass(frozen=True)
class Truth:
    """The model that the page shows, asked without it."""

    scene: Scene
    mixture: Mixture

    @property
    def camera(self) -> Camera:
        """Of the picture in a window at the overview."""
        return window_camera(overview_of(self.scene).start, self.scene.frame).resized(
            *picture_size(WINDOW[0] / WINDOW[1], AUTO_PIXELS))


@pytest.fixture(scope="session")
def service(surveyed, real_kafka, tmp_path_factory) -> Iterator[Service]:
    world = World(tmp_path_factory.mktemp("looked"), real_kafka.address, topic_for("looked"))
    data = surveyed.folder / "data"
    try:
        world.start("--runner", default_runner(), "--root", data)
        yield Service(world, data)
    finally:
        world.close()


@pytest.fixture(scope="session")
def trained(service) -> Truth:
    """The job `town` has trained the model."""
    if not service.world.mediator.state_of("town"):
        service.send("town", **TRAIN)
    service.world.wait_state("town", "SUCCEEDED", "FAILED", within_s=180)
    store = CheckpointStore.of_job(service.world.logs / "town")
    return Truth(service.scene, open_checkpoint(store.find("best")).load().mixture("truth"))


@pytest.fixture(scope="session")
def looked(service, trained) -> Looked:
    """A page that tests share; they leave it as they found it."""
    return service.view("look")
