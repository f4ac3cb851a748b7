"""The whole path over Apache Kafka, with the real runner: a town is learned, a later flight absorbed, scored, filmed;
and a mediator that is killed meanwhile changes nothing of it.
"""

import json

import pytest

from adaptive_nerf.jobs.launch import default_runner
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from tests.support.evidence import processes_of
from tests.support.kafka import real_kafka  # noqa: F401
from tests.support.waiting import wait_until
from tests.support.world import World, topic_for
from tests.unit.pipelines.training.factory import learned

pytestmark = pytest.mark.system
TRAIN = {"op": "train", "mask_dirname": "g22_grid_bm105_ss11", "num_submodules": 4, "outer_steps": 240,
         "log2_hashmap_size": 12, "levels": 4, "rays": 512, "samples": 8192, "batch_size": 1, "support_rays": 128,
         "query_rays": 64, "inner_iter": 2, "eval_step": 30, "save_step": 20}
ADAPT = {"op": "adapt", "checkpoint_path": "town", "batch": "event", "tto": 12, "support_rays": 512}
EVAL = {"op": "eval", "checkpoint_path": "town", "batch": "event", "tto": "0,12", "support_rays": 512}
VIDEO = {"op": "video", "checkpoint_path": "adapted", "frames": 6, "width": 96, "height": 72}


class Town:
    """A mediator on the surveyed town, and the jobs that it is sent."""

    def __init__(self, world, data):
        self.world, self.data = world, data

    def start(self):
        self.world.start("--runner", default_runner(), "--root", self.data)

    def send(self, job_id, job):
        self.world.ledger.send(job_id, **job, data_path=str(self.data / "drz"), data_dirname="prepared",
                               downscale=1.0, gpus=0)

    def done(self, job_id):
        """Its folder, once it has succeeded in its first attempt."""
        self.world.wait_state(job_id, "SUCCEEDED", "FAILED", "CANCELLED", within_s=180)
        job = self.world.mediator.job(job_id)
        assert (job["state"], job["attempt"]) == ("SUCCEEDED", 1), job
        return self.world.logs / job_id

    def is_at_work(self, job_id):
        path = self.world.logs / job_id / "progress.json"
        return path.exists() and json.loads(path.read_bytes())["step"] >= 1


@pytest.fixture(scope="module")
def town(surveyed, real_kafka, tmp_path_factory):  # noqa: F811
    world = World(tmp_path_factory.mktemp("whole"), real_kafka.address, topic_for("whole"))
    town = Town(world, surveyed.folder / "data")
    try:
        town.start()
        yield town
        wait_until(lambda: not processes_of(world.folder), "no process of a job is left", 10)
    finally:
        world.close()


@pytest.fixture(scope="module")
def path(town):
    """The folders of the four jobs, one after the other."""
    jobs = {"town": TRAIN, "adapted": ADAPT, "scored": EVAL, "filmed": VIDEO}
    for job_id, job in jobs.items():
        town.send(job_id, job)
        town.done(job_id)
    return {job_id: town.world.logs / job_id for job_id in jobs}


def metrics_of(folder):
    return json.loads((folder / "result.json").read_bytes())["metrics"]


def figures_of(folder):
    """All but the times."""
    return {name: value for name, value in metrics_of(folder).items() if not name.startswith(("seconds", "steps_s"))}


def test_every_operation_leaves_what_it_promises(path):
    for job_id, files in {"town": ["checkpoints", "tensorboard"], "adapted": ["checkpoints"],
                          "scored": ["report.html", "metrics.csv", "per_image.csv", "gt", "pred", "error"],
                          "filmed": ["video.mp4"]}.items():
        left = {entry.name for entry in path[job_id].iterdir()}
        assert left >= {"job.json", "log.txt", "progress.json", "result.json", *files}, job_id


def test_the_adapted_model_is_a_new_version_beside_the_old_one(path):
    base, adapted = CheckpointStore.of_job(path["adapted"]).steps()
    assert base in CheckpointStore.of_job(path["town"]).steps()
    assert adapted == base + ADAPT["tto"]


def test_what_was_learned_of_the_flight_shows_on_photos_that_were_held_back(path):
    told = metrics_of(path["scored"])
    assert told["neutral_db_12"] > told["neutral_db_0"]


def test_what_the_flight_did_not_change_stays(path):
    assert metrics_of(path["scored"])["forgetting_neutral_db_12"] > -0.5


def interrupted(town, job_id, job):
    """The same job once more, while the mediator is killed at its work and started again."""
    town.send(job_id, job)
    wait_until(lambda: town.is_at_work(job_id), f"{job_id} is at work", 60)
    town.world.mediator.kill()
    assert processes_of(town.world.folder), "the job ended before the mediator was killed"
    town.start()
    return town.done(job_id)


def test_a_mediator_killed_in_the_middle_of_training_changes_no_bit_of_it(town, path):
    again = interrupted(town, "town-again", TRAIN)
    assert learned(again) == learned(path["town"])


def test_a_mediator_killed_in_the_middle_of_an_evaluation_changes_no_figure(town, path):
    again = interrupted(town, "scored-again", EVAL)
    assert figures_of(again) == figures_of(path["scored"])
