import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adaptive_nerf.pipelines import trackers
from adaptive_nerf.pipelines.trackers import Tracker
from tests.support.small_disk import fill, small_disk
from tests.support.waiting import wait_until

# A writer thread of TensorBoard that meets a full disk says so by dying.
dies_loudly = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Watcher:
    """A TensorBoard that was started before the job, and looks again and again."""

    def __init__(self, folder):
        self._seen = EventAccumulator(str(folder))

    def curve(self, name):
        self._seen.Reload()
        if name not in self._seen.Tags()["scalars"]:
            return []
        return [(event.step, round(event.value, 4)) for event in self._seen.Scalars(name)]

    def pictures(self, name):
        self._seen.Reload()
        return [event.step for event in self._seen.Images(name)] if name in self._seen.Tags()["images"] else []


def test_a_running_tensorboard_sees_curves_and_pictures(tmp_path):
    with Tracker(tmp_path) as tracker:
        tracker.scalars(1, {"loss": 0.5})
        watcher = Watcher(tmp_path / "tensorboard")
        wait_until(lambda: watcher.curve("loss") == [(1, 0.5)], "the first value")
        tracker.scalars(2, {"loss": 0.25, "psnr": 20.0})
        tracker.picture(2, "val/house.jpg", np.full((8, 6, 3), 200, np.uint8))
        wait_until(lambda: watcher.curve("loss") == [(1, 0.5), (2, 0.25)], "the second value")
        wait_until(lambda: watcher.pictures("val/house.jpg") == [2], "the picture")


def test_a_resumed_job_hides_what_was_told_after_its_checkpoint(tmp_path):
    with Tracker(tmp_path) as tracker:
        for step in range(1, 6):
            tracker.scalars(step, {"loss": 10.0})
    with Tracker(tmp_path, first_step=4) as tracker:
        tracker.scalars(4, {"loss": 3.0})
    assert Watcher(tmp_path / "tensorboard").curve("loss") == [(1, 10), (2, 10), (3, 10), (4, 3)]


def test_a_job_that_begins_anew_hides_all_that_an_earlier_attempt_told(tmp_path):
    with Tracker(tmp_path) as tracker:
        for step in range(5):
            tracker.scalars(step, {"loss": 10.0})
    with Tracker(tmp_path) as tracker:
        tracker.scalars(0, {"loss": 3.0})
    assert Watcher(tmp_path / "tensorboard").curve("loss") == [(0, 3)]


def test_a_full_disk_is_told_once_and_with_room_again_the_curve_goes_on(tmp_path):
    told = []
    with small_disk(tmp_path / "small", 4) as disk, Tracker(disk, warn=told.append) as tracker:
        tracker.scalars(1, {"loss": 1.0})
        watcher = Watcher(disk / "tensorboard")
        wait_until(lambda: watcher.curve("loss"), "the first value")
        fill(disk / "filler")
        tracker.scalars(2, {"loss": 2.0})
        tracker.scalars(3, {"loss": 3.0})
        (disk / "filler").unlink()
        tracker.scalars(4, {"loss": 4.0})
        wait_until(lambda: watcher.curve("loss") == [(1, 1), (4, 4)], "the value after the room came back")
    assert len(told) == 1
    assert "no space left" in told[0]


@dies_loudly
def test_a_disk_that_fills_up_meanwhile_ends_the_curves_and_not_the_job(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(trackers, "_free_bytes", lambda _: 2**40)
    with small_disk(tmp_path / "small", 1) as disk, Tracker(disk, warn=told.append) as tracker:
        tracker.scalars(1, {"loss": 1.0})
        fill(disk / "filler")

        def told_after_another_picture():
            tracker.picture(2, "noise", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
            return told
        wait_until(told_after_another_picture, "word of the full disk")
        tracker.scalars(3, {"loss": 3.0})
    assert len(told) == 1
    assert "curves end here" in told[0]


def test_nothing_told_leaves_no_folder(tmp_path):
    Tracker(tmp_path).close()
    assert list(tmp_path.iterdir()) == []
