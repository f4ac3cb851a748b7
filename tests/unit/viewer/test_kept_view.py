"""The browser keeps where its person stands, once they stand still; who comes by a link stays where that leads."""

from types import SimpleNamespace

import numpy as np
import pytest

from adaptive_nerf.viewer.kept_view import KEEPING, KeptView
from adaptive_nerf.viewer.viewpoints import View, link_query

START = View(np.array([0.0, -50, 40]), np.zeros(3), 0.9)
ELSEWHERE = View(np.array([10.0, 0, 60]), np.array([10.0, 1, 0]), 0.9)


class Browser(dict):
    """Its local storage."""

    def get_item(self, key, timeout):
        return self.get(key)

    def set_item(self, key, value):
        self[key] = value


class Pilot:
    def __init__(self, view):
        self.now = view

    def view(self):
        return self.now

    def stand_at(self, view):
        self.now = view


@pytest.fixture
def browser():
    return Browser()


def kept_view(browser, pilot):
    return KeptView(SimpleNamespace(local_storage=browser), pilot, START, "look")


def test_a_view_is_kept_when_it_stands_still_and_found_again(browser):
    pilot = Pilot(START)
    kept = kept_view(browser, pilot)
    pilot.now = ELSEWHERE
    kept.keep()
    assert browser == {}
    kept.keep()
    assert set(browser) == {KEEPING + "look"}
    again = Pilot(START)
    kept_view(browser, again).restore()
    assert again.now.position == pytest.approx(ELSEWHERE.position, abs=1e-3)


def test_who_comes_by_a_link_stays_there(browser):
    browser[KEEPING + "look"] = link_query(START)
    pilot = Pilot(ELSEWHERE)
    kept_view(browser, pilot).restore()
    assert pilot.now is ELSEWHERE


@pytest.mark.parametrize("text", ["", "initialCameraPosition=nan,0,0&initialCameraLookAt=0,0,0", "<b>"])
def test_what_is_no_view_is_passed_over(browser, text):
    browser[KEEPING + "look"] = text
    pilot = Pilot(START)
    kept_view(browser, pilot).restore()
    assert pilot.now is START
