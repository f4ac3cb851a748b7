import json

import pytest

from adaptive_nerf.common.errors import BadInput, BadUsage
from adaptive_nerf.jobs import job_file
from adaptive_nerf.jobs.message import BadMessage

SENT = {"op": "train", "data_path": "data/town", "seed": 3}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job.json"


def test_a_message_and_a_job_file_give_the_same(path):
    path.write_text(json.dumps(SENT))
    assert job_file.read_message(path) == SENT
    path.unlink()
    job_file.create(path, "a", SENT)
    assert job_file.read_message(path) == SENT


def test_creating_it_again_keeps_what_the_runner_added(path):
    job_file.create(path, "a", SENT)
    job_file.record_run(path, SENT, SENT | {"job_id": "a", "lr": None}, {"commit": "1"})
    job_file.create(path, "a", dict(reversed(SENT.items())))
    kept = json.loads(path.read_text())
    assert (kept["v"], kept["job_id"], kept["spec"], kept["runs"]) == (1, "a", SENT, [{"commit": "1"}])


def test_every_run_is_added_and_the_list_does_not_grow_without_end(path):
    for number in range(40):
        job_file.record_run(path, SENT, {"job_id": "a"}, {"number": number})
    runs = json.loads(path.read_text())["runs"]
    assert [runs[0]["number"], runs[-1]["number"], len(runs)] == [8, 39, 32]


def test_a_folder_belongs_to_one_job_for_ever(path):
    job_file.create(path, "a", SENT)
    with pytest.raises(BadUsage, match="holds another job's results"):
        job_file.create(path, "a", SENT | {"seed": 4})


def test_a_newer_format_is_refused_by_name(path):
    path.write_text(json.dumps({"v": 2, "job_id": "a", "spec": SENT}))
    with pytest.raises(BadInput, match="has version 2"):
        job_file.read_message(path)


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"{} {}", b"\xff", b'{"a": 1, "a": 2}', b"9" * 5000])
def test_a_file_that_is_no_message_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(BadMessage):
        job_file.read_message(path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(BadUsage, match="no such file"):
        job_file.read_message(tmp_path / "absent.json")
    with pytest.raises(BadUsage, match="is a directory"):
        job_file.read_message(tmp_path)


@pytest.mark.parametrize(("setting", "value"), [
    ("seed=7", 7), ("lr=1e-3", 0.001), ("use_amp=false", False), ("tto=[0, 16]", [0, 16]), ("tto=0,16", "0,16"),
    ("data_path=data/x=y", "data/x=y"), ("prefix=", ""), ('prefix="7"', "7"), ("lr=NaN", "NaN"), ("far=null", None)])
def test_a_setting_is_json_where_it_can_be(setting, value):
    name = setting.partition("=")[0]
    changed = job_file.with_settings(SENT, [setting])
    assert changed[name] == value
    assert type(changed[name]) is type(value)
    assert "tto" not in SENT


@pytest.mark.parametrize("setting", ["seed", "=3", ""])
def test_what_is_no_setting_is_one_line(setting):
    with pytest.raises(BadUsage, match="give --set key=value"):
        job_file.with_settings(SENT, [setting])
