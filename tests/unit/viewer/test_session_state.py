"""People come and go, time passes, somebody ends it."""

from types import SimpleNamespace

import pytest

from adaptive_nerf.viewer.session_state import SessionState


class Stand:
    """An adaptation that notes who left."""

    def __init__(self):
        self.gone = []

    def left(self, who):
        self.gone.append(who)


@pytest.fixture
def clock():
    return SimpleNamespace(now=1000.0)


@pytest.fixture
def state_of(tmp_path, clock):
    def make(**kwargs):
        return SessionState("look", tmp_path, None, Stand(), None, clock=lambda: clock.now, **kwargs)
    return make


def test_people_have_names_of_their_own_and_free_what_they_held(state_of):
    state = state_of()
    assert [state.came(7), state.came(9)] == ["Person 1", "Person 2"]
    state.left(7)
    state.left(7)
    assert state.came(11) == "Person 3"
    assert state.adaptation.gone == ["Person 1"]
    assert (state.facts().people, state.name_of(9), state.name_of(7)) == (2, "Person 2", "")


def test_idle_and_open_time(state_of, clock):
    state = state_of()
    clock.now += 50
    state.touch()
    clock.now += 8
    facts = state.facts()
    assert (facts.open_s, facts.idle_s, facts.left_s) == (58, 8, None)


def test_the_time_that_is_left(state_of, clock):
    state = state_of(limit_s=60)
    clock.now += 45
    assert state.facts().left_s == 15
    clock.now += 45
    assert state.left_s() == 0


def test_somebody_ends_it(state_of):
    state = state_of()
    assert not state.wait(0)
    state.end("Person 2")
    assert state.wait(0)
    assert state.ended_by == "Person 2"
