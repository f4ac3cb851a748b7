"""Who may press what, and what everybody sees, while a flight is absorbed."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adaptive_nerf.common.errors import BadData, DiskFull
from adaptive_nerf.viewer.backend import StepTaken
from adaptive_nerf.viewer.shared_adaptation import LONGEST_CURVE, NotNow, SharedAdaptation
from tests.support.waiting import wait_until


@dataclass
class FakeModel:
    """A number that each step raises by one; both sides of what the adaptation talks to."""

    value: int = 0
    before: int = 0
    kept: list = field(default_factory=list)
    shown: list = field(default_factory=list)
    looked: float = 0.0  # seconds that every look takes
    problem: Exception | None = None
    disk_problem: Exception | None = None
    settling: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def begin_adaptation(self, flight):
        if self.problem:
            raise self.problem
        self.before = self.value
        return self

    def step(self):
        assert self.go.wait(30)
        if self.problem:
            raise self.problem
        self.value += 1
        return StepTaken(1 / self.value, 20.0 + self.value)

    def show(self):
        self.shown.append(self.value)

    def looked_s(self):
        return self.looked

    def reset(self):
        self.value = self.before

    def keep(self):
        assert self.settling.wait(30)
        self.kept.append(self.before)

    def undo(self):
        self.value = self.kept.pop()

    def can_undo(self):
        return bool(self.kept)

    def write_kept(self):
        if self.disk_problem:
            raise self.disk_problem
        return self.save()

    def save(self):
        return Path(f"checkpoints/step{self.value:06d}")


@pytest.fixture
def model():
    made = FakeModel()
    made.go.set()
    made.settling.set()
    return made


@pytest.fixture
def shared(model):
    made = SharedAdaptation(model)
    yield made
    model.go.set()
    model.settling.set()
    made.close()


def rests(shared):
    return lambda: not (shared.status().running or shared.status().busy)


def run(shared, steps=5, who="Ada", flight="after"):
    shared.start(who, flight, steps)
    wait_until(rests(shared), "the steps")


def test_it_takes_the_steps_and_tells_each_of_them(shared, model):
    run(shared)
    told = shared.status()
    assert (told.steps, told.of, told.started_by, told.flight) == (5, 5, "Ada", "after")
    assert [step for step, _, _ in told.curve] == [1, 2, 3, 4, 5]
    assert told.curve[-1] == (5, 0.2, 25.0)
    wait_until(lambda: model.shown[-1:] == [5], "the last step is shown")


def test_others_are_told_who_holds_it(shared, model):
    run(shared)
    for press in (lambda: shared.start("Bob", "after", 9), lambda: shared.pause("Bob"), lambda: shared.reset("Bob"),
                  lambda: shared.keep("Bob"), lambda: shared.step("Bob", "after")):
        with pytest.raises(NotNow, match="Ada is adapting to after"):
            press()
    assert model.value == 5


def test_who_leaves_frees_it(shared, model):
    model.go.clear()
    shared.start("Ada", "after", 100)
    shared.left("Ada")
    model.go.set()
    wait_until(rests(shared), "it stands still")
    done = shared.status().steps
    assert done <= 1
    shared.start("Bob", "after", 4)
    wait_until(rests(shared), "the other one's steps")
    assert shared.status().started_by == "Bob"
    assert model.value == 4


def test_reset_goes_back_and_frees_it(shared, model):
    run(shared)
    shared.reset("Ada")
    wait_until(lambda: shared.status().started_by == "", "reset")
    assert model.value == 0
    assert not shared.status().changed


def test_what_was_kept_can_be_undone_also_twice(shared, model):
    for flight in ("first", "second"):
        run(shared, flight=flight)
        shared.keep("Ada")
        wait_until(lambda: shared.status().can_undo and not shared.status().changed, "kept")
    for value, more in ((5, True), (0, False)):
        shared.undo("Bob")
        wait_until(lambda value=value: model.value == value and rests(shared)(), "undone")
        assert shared.status().can_undo is more
    with pytest.raises(NotNow, match="nothing was kept"):
        shared.undo("Bob")


def test_pause_and_one_step(shared, model):
    run(shared, 3)
    shared.step("Ada", "after")
    wait_until(rests(shared), "one step")
    assert model.value == 4
    shared.start("Ada", "after", 3)
    wait_until(rests(shared), "three more, for three were done already")
    assert model.value == 7


def test_another_flight_must_wait_until_the_first_is_settled(shared):
    run(shared)
    with pytest.raises(NotNow, match="keep or reset"):
        shared.start("Ada", "other", 5)


def test_two_long_things_at_once_are_refused(shared, model):
    model.go.clear()
    shared.start("Ada", "after", 2)
    wait_until(lambda: not shared.status().busy, "the photos")
    shared.save()
    with pytest.raises(NotNow, match="busy with saving"):
        shared.reset("Ada")
    model.go.set()
    wait_until(rests(shared), "saved")
    assert shared.status().saved.startswith("checkpoints/step")
    assert shared.status().steps == 2, "saving does not stop it"


def test_what_is_being_kept_is_not_started_again_meanwhile(shared, model):
    run(shared)
    model.settling.clear()
    shared.keep("Ada")
    for press in (lambda: shared.start("Ada", "after", 9), lambda: shared.step("Ada", "after")):
        with pytest.raises(NotNow, match="busy with keeping it"):
            press()
    model.settling.set()
    wait_until(rests(shared), "kept")
    assert model.value == 5
    assert not shared.status().running


def test_what_was_kept_is_written_and_the_place_is_told_until_it_is_undone(shared):
    run(shared)
    shared.keep("Ada")
    wait_until(lambda: rests(shared)() and shared.status().can_undo, "kept")
    assert (shared.status().kept, shared.status().saved) == ("checkpoints/step000005", "")
    shared.undo("Ada")
    wait_until(lambda: rests(shared)() and not shared.status().can_undo, "undone")
    assert shared.status().kept == ""


@pytest.mark.parametrize("problem", [DiskFull("step5"), OSError("gone"), MemoryError()], ids=repr)
def test_what_cannot_be_written_is_kept_all_the_same_and_told(shared, model, problem):
    model.disk_problem = problem
    run(shared)
    shared.keep("Ada")
    wait_until(lambda: rests(shared)() and shared.status().can_undo, "kept")
    assert model.kept == [0]
    assert "kept, but in memory alone" in shared.status().error
    assert (shared.status().kept, shared.status().changed) == ("", False)


@pytest.mark.parametrize("problem", [BadData("continual/after", "is gone"), RuntimeError("lost its way")], ids=repr)
def test_a_failure_is_told_and_logged_and_it_can_be_tried_again(shared, model, problem, caplog):
    model.problem = problem
    run(shared)
    assert str(problem) in shared.status().error
    assert str(problem) in caplog.text
    model.problem = None
    run(shared)
    assert shared.status().error == ""
    assert model.value == 5


def test_after_a_start_that_failed_somebody_else_can_start(shared, model):
    model.problem = RuntimeError("no model yet")
    run(shared)
    assert shared.status().started_by == ""
    model.problem = None
    model.go.set()
    shared.start("Ben", "event", 5)
    wait_until(lambda: model.value == 5, "the second person's steps are taken")


def test_a_long_curve_is_thinned(shared):
    run(shared, 3 * LONGEST_CURVE)
    curve = shared.status().curve
    assert len(curve) <= LONGEST_CURVE
    assert curve[0][0] == 1
    assert curve[-1][0] > 2.9 * LONGEST_CURVE


@pytest.mark.parametrize(("looked_s", "shows"), [(0.0, 6), (10.0, 2)])
def test_the_longer_a_look_takes_the_rarer_the_model_is_shown(model, shared, monkeypatch, looked_s, shows):
    """Learning gets most of the machine: after the first step, and at the end, it is shown in any case."""
    monkeypatch.setattr("adaptive_nerf.viewer.shared_adaptation.SHOW_EVERY_S", 0.0)
    model.looked = looked_s
    model.go.set()
    shared.start("Ada", "event", 6)
    wait_until(lambda: model.value == 6 and model.shown and model.shown[-1] == 6, "the last step is shown")
    assert len(set(model.shown)) == shows
