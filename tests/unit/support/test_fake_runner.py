"""The fake runner is a witness, so what it says about itself must be true."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.support.evidence import processes_of, read_marks
from tests.support.waiting import wait_until


class Place:
    def __init__(self, folder, clone):
        self.logs, self.runner = folder, clone / "tests" / "support" / "fake_runner.py"

    def start(self, label, attempt=1, job_id="a"):
        out = self.logs / job_id
        order = out / "attempts" / str(attempt) / "order.json"
        order.parent.mkdir(parents=True)
        order.write_text(json.dumps({"nonce": f"{job_id}{attempt}"}))
        (out / "job.json").write_text(json.dumps({"v": 1, "job_id": job_id, "dataset": f"fake: {label}"}))
        return subprocess.Popen([sys.executable, self.runner, "--configPath", out / "job.json", "--out", out],
                                env={**os.environ, "ADAPTIVE_NERF_NONCE": f"{job_id}{attempt}"},
                                stdout=subprocess.DEVNULL)

    def marks(self):
        return [(mark.word, mark.attempt, mark.code) for mark in read_marks(self.logs / "runs.txt")]

    def wait_for_start(self, attempt=1):
        wait_until(lambda: ("start", attempt, None) in self.marks(), "the fake runner starts")


@pytest.fixture
def place(tmp_path, clone):
    made = Place(tmp_path, clone)
    yield made
    for process in processes_of(tmp_path):
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(("label", "code"), [
    ("sleep=0.01 steps=2", 0), ("exit=70", 70), ("exit=70 fail_attempts=0", 0), ("signal=11", -11),
    ("leak_mb=5000 limit_mb=100", 76), ("port=1 flood_mb=1", 0 if os.geteuid() == 0 else 69)])
def test_it_ends_as_it_is_told(place, label, code):
    assert place.start(label).wait() == code
    assert place.marks() == [("start", 1, None), ("end", 1, code)]


def test_it_goes_on_when_it_is_let_go(place):
    runner = place.start("until=seen")
    place.wait_for_start()
    assert runner.poll() is None
    (place.logs / "go.seen").touch()
    assert runner.wait() == 0


def test_it_stops_politely_with_a_checkpoint(place):
    runner = place.start("hang=1")
    place.wait_for_start()
    runner.terminate()
    assert runner.wait() == 75
    assert (place.logs / "a" / "checkpoint.txt").exists()
    assert place.marks()[-1] == ("end", 1, 75)


def test_a_run_beside_a_living_one_is_recorded(place):
    first = place.start("hang=1")
    place.wait_for_start()
    assert place.start("sleep=0", attempt=2).wait() == 0
    assert ("overlap", 2, None) in place.marks()
    first.kill()
    first.wait()


def test_a_run_beside_a_child_of_a_dead_one_is_recorded(place):
    assert place.start("fork=1").wait() == 0
    assert len(processes_of(place.logs)) == 1
    assert place.start("sleep=0", attempt=2).wait() == 0
    assert ("overlap", 2, None) in place.marks()


def test_a_run_after_a_dead_one_is_alone(place):
    first = place.start("hang=1")
    place.wait_for_start()
    first.kill()
    first.wait()
    place.start("sleep=0", attempt=2).wait()
    assert ("overlap", 2, None) not in place.marks()
