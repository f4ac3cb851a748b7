"""A message's paths stay inside the roots, whatever is written in them."""

import pytest

from adaptive_nerf.jobs.message import job_of
from adaptive_nerf.jobs.paths import Roots, checkpoint_places, refused_paths


@pytest.fixture
def roots(tmp_path):
    for name in ("data/scene/out/example", "logs/train-1", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    return Roots.of(tmp_path / "logs", [tmp_path / "data"], tmp_path)


def refused(roots, **fields):
    job = job_of({"op": "eval", "data_path": "data/scene", **fields}).job
    return [error.field for error in refused_paths(job, roots)]


def test_an_existing_message_is_let_in(roots):
    assert refused(roots, data_dirname="example", mask_dirname="g22", checkpoint_path="logs/train-1") == []


@pytest.mark.parametrize("fields", [
    {"data_path": "data/../elsewhere"}, {"data_path": "/etc"}, {"data_path": "elsewhere"}, {"data_path": "data/\0"},
    {"data_dirname": "../../../elsewhere"}, {"data_dirname": "/etc"}, {"mask_dirname": "../../x"},
    {"batch": "../x"}, {"checkpoint_path": "../elsewhere"}, {"checkpoint_path": "/etc/passwd"},
    {"checkpoint_path": "logs/../../elsewhere"}, {"lpips_weights": "/etc/passwd"},
    {"lpips_weights": "x" * 5000 + "/.."},
], ids=lambda fields: str(fields)[:50])
def test_a_path_that_leads_outside_is_refused_by_its_field(roots, fields):
    assert refused(roots, **fields) == [f"/{name}" for name in fields]


def test_a_link_is_judged_by_where_it_leads(roots):
    (roots.start / "data" / "out").symlink_to(roots.start / "elsewhere")
    (roots.start / "data" / "inside").symlink_to(roots.start / "data" / "scene")
    (roots.start / "data" / "loop").symlink_to("loop")
    assert refused(roots, data_path="data/out") == ["/data_path"]
    assert refused(roots, data_path="data/inside") == []
    assert refused(roots, data_path="data/loop") == ["/data_path"]


def test_a_checkpoint_is_a_job_id_a_folder_or_a_path(roots):
    first = roots.logs / "train-1"
    assert checkpoint_places("train-1", roots)[0] == first
    assert checkpoint_places("logs/train-1", roots)[0] == first
    assert checkpoint_places(str(first), roots) == [first]


def test_the_logs_folder_may_lie_anywhere(tmp_path):
    roots = Roots.of(tmp_path / "far" / "runs", [], tmp_path)
    assert checkpoint_places("logs/train-1", roots) == [tmp_path / "far" / "runs" / "train-1"]
