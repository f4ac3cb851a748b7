"""The job files that people start from: each runs as it is, on what `make demo` builds."""

import json
import re

import pytest

from adaptive_nerf.jobs.judgement import judge
from adaptive_nerf.jobs.message import read_job
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.records import NewJob
from adaptive_nerf.jobs.spec import MODELS


@pytest.fixture(params=MODELS)
def config(request, clone):
    return clone / "configs" / f"{request.param}.json"


def test_there_is_one_for_every_operation_and_no_other(clone):
    assert sorted(path.name for path in (clone / "configs").iterdir()) == sorted(f"{op}.json" for op in MODELS)


def test_it_is_a_job_of_the_operation_in_its_name_without_a_warning(config):
    read = read_job(config.read_bytes())
    assert read.job.op == config.stem
    assert read.warnings == ()
    assert len(json.loads(config.read_bytes())) <= 25


def test_it_leaves_halves_to_their_default_for_to_ask_for_them_warns_where_nothing_gains(config):
    assert "use_amp" not in json.loads(config.read_bytes())


def test_it_has_no_name_so_that_it_can_be_sent_again_and_again(config):
    assert read_job(config.read_bytes()).job.job_id is None


def test_the_mediator_takes_it_with_the_roots_that_it_has_by_default(config, clone, monkeypatch):
    monkeypatch.chdir(clone)
    verdict = judge(config.read_bytes(), "derived", Roots.of(clone / "logs", [clone / "data"]))
    assert isinstance(verdict, NewJob), verdict


def test_its_scene_is_the_one_of_the_demo(config, clone):
    demo = (clone / "scripts" / "demo.py").read_text()
    job = read_job(config.read_bytes()).job
    assert f'PARTITION = "{job.mask_dirname}"' in demo
    assert f'TOWN = Path("{job.data_path}")' in demo
    assert re.search(rf'SCENE = TOWN / "out" / "{job.data_dirname}"', demo)
    assert f"--batch_tag {getattr(job, 'batch', '') or 'event'}" in demo
    experts = getattr(job, "num_submodules", 4)
    assert experts == 4  # of a grid of 2 x 2


def test_every_example_of_a_checkpoint_is_the_same(config):
    job = read_job(config.read_bytes()).job
    assert (job.checkpoint_path, job.prefix) == (("", "best") if job.op == "train" else ("logs/example", "best"))
