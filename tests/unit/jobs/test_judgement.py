"""Every message becomes a job or a rejection that its sender recognises."""

import json

import pytest

from adaptive_nerf.jobs.judgement import judge
from adaptive_nerf.jobs.paths import Roots
from adaptive_nerf.jobs.records import NewJob, Rejected


@pytest.fixture
def roots(tmp_path):
    return Roots.of(tmp_path / "logs", [tmp_path / "data"], tmp_path)


def judged(roots, **sent):
    return judge(json.dumps(sent).encode(), "job-0-7-abc", roots)


def test_a_message_without_a_name_gets_that_of_its_place(roots):
    job = judged(roots, op="train", data_path="data/town")
    assert (job.job_id, job.op, job.hang_timeout_s, job.light) == ("job-0-7-abc", "train", 900.0, False)


def test_a_viewer_is_light_and_never_counts_as_hung(roots):
    job = judged(roots, op="view", data_path="data/town", job_id="look", stay=True)
    assert (job.job_id, job.light, job.stay, job.hang_timeout_s) == ("look", True, True, 0.0)
    assert judged(roots, op="view", data_path="data/town", hang_timeout_s=5.0).hang_timeout_s == 5.0


def test_identity_is_the_message_as_sent_before_defaults(roots):
    job = judged(roots, op="train", data_path="data/town")
    assert isinstance(job, NewJob)
    assert json.loads(job.canonical) == {"op": "train", "data_path": "data/town"}


def test_a_path_outside_is_answered_with_its_field(roots):
    refused = judged(roots, op="eval", data_path="/etc", job_id="bad-1")
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.job_id, refused.errors[0]["field"]) == ("path_outside", "bad-1", "/data_path")


@pytest.mark.parametrize("name", ["../x", "", 3, None, "a" * 65, "x\n", ["x"]])
def test_a_bad_name_is_not_repeated_in_the_answer(roots, name):
    refused = judged(roots, op="nothing", job_id=name)
    assert refused.code == "bad_op"
    assert refused.job_id is None


def test_what_is_no_json_has_no_name(roots):
    assert judge(b'{"job_id": "x", ', "derived", roots).job_id is None
