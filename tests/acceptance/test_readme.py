"""The README's commands are run as they stand there; a small town takes the place of photos and of COLMAP.

Jobs go to Apache Kafka. They are kept small by settings that follow those of the README.
"""

import contextlib
import re
import shutil
import subprocess
import sys
import urllib.request

import pytest

from adaptive_nerf.data.masks import open_partition
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.jobs.control import NoMediator, ask
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from kafka_utils.node import free_port
from tests.support.clone import ROOT, Clone
from tests.support.kafka import real_kafka  # noqa: F401
from tests.support.pages import Page
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
README = Page.of(ROOT / "README.md")
PROGRAMS = sorted(set(re.findall(r"(?:\./scripts/\w+|python3 mediator)\.py", README.text)))
SMALL = ("downscale=1", "seconds=0", "outer_steps=20", "rays=512", "samples=8192", "log2_hashmap_size=12",
         "support_rays=128", "query_rays=64", "inner_iter=2", "eval_step=10", "save_step=10")
OURS = ("data_path=data/mine", "mask_dirname=g22")  # what make demo leaves is not here


def lines_with(*words):
    """The README's command lines that hold all these words."""
    found = [" ".join(command) for command in README.commands()]
    return [line for line in found if all(word in line for word in words)]


def line_with(*words):
    (line,) = lines_with(*words)
    return line


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A clone whose data/mine holds photos and their model; the second step of the README has been taken."""
    place = Clone(tmp_path_factory.mktemp("readme"), "mediator.py", "configs")
    place.must("./scripts/make_town.py --output data/mine --photos 12 --event_photos 4 --resolution 96 72 --seed 3")
    for program in ("prepare_dataset", "create_clusters"):
        place.must(line_with(f"/{program}.py", "data/mine"))
    return place


@pytest.fixture(scope="module")
def service(place, real_kafka):  # noqa: F811
    """The mediator of the README, with Apache Kafka in place of the embedded broker."""
    line = line_with("mediator.py", "embedded").replace("embedded", real_kafka.address)
    with (place.folder / "said").open("wb") as said:
        command = [sys.executable, *line.split()[1:], "--http", "off", "--stop-jobs"]
        process = subprocess.Popen(command, cwd=place.folder, stdout=said, stderr=said)
    try:
        wait_until(lambda: is_ready(place.folder / ".state"), "the mediator is ready")
        yield place
    finally:
        process.terminate()
        process.wait(60)


def is_ready(state):
    with contextlib.suppress(NoMediator):
        return ask(state, {"verb": "status"})["ready"]


def sent(place, line, *settings):
    """Its name, that `send_config.py` prints."""
    return place.must(" ".join([line, *(f"--set {setting}" for setting in settings)])).strip()


@pytest.fixture(scope="module")
def trained(service):
    """The third step of the README."""
    return sent(service, line_with("train.json", "--job_id mine"), *SMALL)


@pytest.fixture(scope="module")
def adapted(service, trained):
    """The fourth step of the README, with the town's second flight."""
    shutil.copytree(service.folder / "data/mine/event", service.folder / "data/mine/day2")
    service.must(line_with("/update_dataset.py"))
    return sent(service, line_with("adapt.json"), "downscale=1", "tto=4", "support_rays=128")


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_command_that_is_named_teaches_with_examples(program, place):
    told = place.must(f"{program.replace('python3', sys.executable)} --help")
    assert program in told.partition("\nexamples:\n  ")[2]


def test_the_doctor_tells_of_each_part_and_finds_nothing_wrong(place):
    told = place.must("./scripts/doctor.py")
    assert [part for part in ("Python", "torch", "GPU", "CPU", "C++", "Kafka", "mediator") if part not in told] == []


def test_the_help_of_make_names_the_two_commands():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[0:2] for line in done.stdout.splitlines() if line.split()[1] in ("demo", "test")] == [
        ["make", "demo"], ["make", "test"]]


def test_own_photos_become_a_scene_of_four_experts(place):
    scene = open_scene(place.folder / "data/mine/out/prepared")
    assert (len(scene.split("train")), len(scene.split("val"))) == (10, 2)
    assert scene.frame.is_georeferenced
    assert open_partition(scene, "g22").n_experts == 4
    assert "metres per scene unit" in place.must(line_with("inspect_scene.py", "data/mine"))


def test_a_training_is_followed_to_its_end_and_listed(service, trained):
    assert trained == "mine"
    assert 20 in CheckpointStore.of_job(service.folder / "logs/mine").steps()
    assert re.search(r"mine +train +SUCCEEDED", service.must(line_with("jobs.py list")))


def test_the_training_for_a_look_is_shown_by_its_name(service, trained):
    assert sent(service, line_with("train.json", "--job_id try"), *OURS, *SMALL) == "try"
    assert re.search(r"state +SUCCEEDED", service.must(line_with("jobs.py show try")))


def test_a_second_flight_is_absorbed(service, adapted):
    assert adapted == "mine-day2"
    assert re.search(r"state +SUCCEEDED", service.must(f"./scripts/jobs.py show {adapted}"))


@pytest.mark.parametrize("line", lines_with("view.json"))
def test_jobs_show_tells_the_address_of_a_page(service, trained, adapted, line):
    more = () if "data/mine" in line else (*OURS, "checkpoint_path=mine")
    job_id = sent(service, line, *more, f"viewer_port={free_port()}")
    told = wait_until(lambda: re.search(r"http://\S+token=\S+", service.must(f"./scripts/jobs.py show {job_id}")),
                      "the page's address", 60, every_s=0.5)
    with urllib.request.urlopen(told[0], timeout=10) as answer:
        assert answer.status == 200
