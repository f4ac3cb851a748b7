import json
import stat

import pytest

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import DiskFull
from adaptive_nerf.common.run_progress import Run, RunProgress


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def told(tmp_path):
    return lambda: json.loads((tmp_path / "progress.json").read_text())


@pytest.fixture
def progress(tmp_path, clock):
    return RunProgress(tmp_path / "progress.json", clock)


def test_it_is_told_from_the_start(progress, told):
    assert told() == {"v": 1, "step": 0, "of": None, "eta_s": None, "metrics": {}, "warnings": [], "url": None}


def test_the_time_left_follows_from_the_steps_of_this_run(progress, told, clock):
    progress.step(1000, 2000)  # a resumed run: the first 1000 were not ours
    clock.now_s += 10
    progress.step(1100, 2000, {"psnr": 20.5})
    assert (told()["step"], told()["eta_s"], told()["metrics"]) == (1100, 90.0, {"psnr": 20.5})


def test_it_is_written_four_times_a_second_at_most_and_at_the_end(progress, told, clock):
    seen = set()
    for step in range(1, 100):
        clock.now_s += 0.01
        progress.step(step, 100)
        seen.add(told()["step"])
    assert len(seen) <= 5
    progress.step(100, 100)
    assert told()["step"] == 100


def test_the_first_step_is_told_at_once(progress, told):
    progress.step(0, 9)
    assert told()["of"] == 9


def test_a_warning_is_told_once_and_at_once(progress, told):
    for _ in range(3):
        progress.warn("no GPU here")
    assert told()["warnings"] == ["no GPU here"]


def test_what_is_no_number_is_null_and_the_file_stays_json(progress, told, clock):
    clock.now_s += 1
    progress.step(1, 2, {"loss": float("nan")})
    assert told()["metrics"] == {"loss": None}


def test_what_is_prepared_is_seen_while_it_lasts_and_is_no_step(progress, told, clock):
    clock.now_s += 1
    progress.preparing("photos_read", 40, 900)
    assert told()["metrics"] == {"photos_read": 40, "photos_read_of": 900}
    assert (told()["step"], told()["eta_s"]) == (0, None)
    progress.preparing("photos_read", 41, 900)
    assert told()["metrics"]["photos_read"] == 40, "four times a second at most"
    progress.preparing("photos_read", 900, 900)
    assert told()["metrics"] == {}


def test_a_full_disk_does_not_end_the_work(progress, monkeypatch, clock, caplog):
    def full(path, *_, **__):
        raise DiskFull(path)

    monkeypatch.setattr(atomic_files, "write_bytes", full)
    for _ in range(3):
        clock.now_s += 1
        progress.step(1, 3)
    assert caplog.text.count("no space left") == 1


def test_a_viewers_token_is_for_the_owner_alone(progress, told, tmp_path):
    Run(None, tmp_path, progress, lambda: False).publish_url("http://host:7070/?token=secret#x")
    private = tmp_path / "viewer_url"
    assert private.read_text() == "http://host:7070/?token=secret#x\n"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert told()["url"] == "http://host:7070/"
