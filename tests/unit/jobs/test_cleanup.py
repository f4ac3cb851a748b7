"""--cleanup removes what is ours and finished, and nothing else."""

import fcntl
import logging

import pytest

from adaptive_nerf.jobs.cleanup import clean_up
from adaptive_nerf.jobs.states import State
from tests.support.stores import brought_to


@pytest.fixture
def logs(tmp_path):
    for name in ("old", "example", "alive"):
        (tmp_path / name / "attempts" / "1").mkdir(parents=True)
        (tmp_path / name / "job.json").write_text("{}")
        (tmp_path / name / "attempts" / "1" / "lock").touch()
    (tmp_path / "photos").mkdir()
    (tmp_path / "mediator.txt").touch()
    (tmp_path / "mediator.jsonl.1").touch()
    return tmp_path


def test_finished_jobs_go_and_the_rest_is_left_and_named(logs, caplog):
    caplog.set_level(logging.INFO)
    with (logs / "alive/attempts/1/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clean_up(logs, ())
    assert sorted(path.name for path in logs.iterdir()) == [
        "alive", "example", "mediator.jsonl.1", "mediator.txt", "photos"]
    assert "1 job folders removed" in caplog.text
    assert "they run: alive" in caplog.text
    assert "not ours: photos" in caplog.text


@pytest.mark.parametrize("state", [State.RUNNING, State.RETRY_WAIT])
def test_a_job_that_is_to_go_on_keeps_its_folder_though_nothing_of_it_runs(logs, store, caplog, state):
    caplog.set_level(logging.INFO)
    brought_to(store, state, "old")
    clean_up(logs, store.unfinished())
    assert (logs / "old" / "job.json").exists()
    assert not (logs / "alive").exists()
    assert "to go on: old" in caplog.text


def test_a_link_to_a_job_elsewhere_is_not_followed(logs, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "job.json").write_text("{}")
    (logs / "link").symlink_to(elsewhere)
    clean_up(logs, ())
    assert (elsewhere / "job.json").exists()
    assert (logs / "link").is_symlink()


def test_a_folder_that_does_not_exist_is_clean(tmp_path):
    clean_up(tmp_path / "none", ())
    assert not (tmp_path / "none").exists()
