"""What the tab keeps in the browser, what it tells, and what it draws of a distance."""

import itertools
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.kept_measurements import as_text, from_text, key_of
from adaptive_nerf.viewer.measure_tab import FIRST, POST_UNITS, MeasureTab, Tool, fence
from adaptive_nerf.viewer.measurements import MOST_KEPT, Measurements
from adaptive_nerf.viewer.picking import Picked

CLICK = SimpleNamespace(screen_pos=(0.5, 0.5))


class Browser(dict):
    """Its local storage, which may be late."""

    late = False

    def get_item(self, key, timeout):
        if self.late:
            raise TimeoutError
        return self.get(key)

    def set_item(self, key, value):
        self[key] = value


@pytest.fixture
def browser():
    return Browser()


@pytest.fixture
def screen():
    return SimpleNamespace(quality=Quality.FULL, touched=lambda: None,
                           pick=lambda *_: Picked(np.array([1.0, 2.0, 3.0]), 50.0, 0.1))


@pytest.fixture
def tab_of(browser, screen, local):
    """The tab in a browser whose window nobody looks at."""
    def make(finest=Quality.FULL, seen=None):
        seen = itertools.repeat(9) if seen is None else iter(seen)
        tab = MeasureTab(MagicMock(local_storage=browser), screen, local, "look", lambda: finest,
                         SimpleNamespace(count=lambda place: next(seen)))
        tab._choose(Tool.POINT)
        return tab
    return make


def kept_by(browser, frame):
    return [item.name for item in from_text(browser.get(key_of("look", frame))).items]


def test_what_a_browser_keeps_is_not_written_over_before_it_was_read(tab_of, browser, local):
    browser[key_of("look", local)] = as_text(Measurements().with_point((9.0, 9.0, 9.0), 0).renamed(0, "broken roof"))
    browser.late = True
    tab = tab_of()
    tab.restore()
    tab._clicked(CLICK)
    assert kept_by(browser, local) == ["broken roof"]
    browser.late = False
    tab._clicked(CLICK)
    assert kept_by(browser, local) == ["broken roof", "Point 2", "Point 3"]


def test_what_was_measured_is_there_when_the_page_is_opened_again(tab_of, browser, local):
    first = tab_of()
    first.restore()
    first._clicked(CLICK)
    again = tab_of()
    again.restore()
    again._clicked(CLICK)
    assert kept_by(browser, local) == ["Point 1", "Point 2"]


def test_a_distance_is_told_as_doubtful_as_its_worse_end(tab_of):
    tab = tab_of(seen=[9, 2])
    tab._choose(Tool.DISTANCE)
    tab._clicked(CLICK)
    assert "photos" not in tab._told.content
    tab._clicked(CLICK)
    assert "Only 2 photos" in tab._told.content


@pytest.mark.parametrize(("away_m", "is_told"), [(0.0, "as the survey's points have it"), (22.0, "22 m from here")])
def test_what_was_taken_for_the_ground_is_told_and_kept_as_such(tab_of, screen, browser, local, away_m, is_told):
    shown, guessed = screen.pick(), Picked(np.array([4.0, 2.0, 3.0]), 50.0, 0.1, away_m)
    tab = tab_of()
    tab.restore()
    for tool, ends, is_doubtful in ((Tool.POINT, [shown], False), (Tool.POINT, [guessed], True),
                                    (Tool.DISTANCE, [guessed, shown], True)):
        tab._choose(tool)
        for screen.pick in (lambda *_, end=end: end for end in ends):
            tab._clicked(CLICK)
        assert (is_told in tab._told.content) is is_doubtful
    kept = from_text(browser[key_of("look", local)]).items
    assert [item.by_survey for item in kept] == [False, True, True]


@pytest.mark.parametrize(("finest", "quality", "is_told"), [
    (Quality.FULL, Quality.FAST, True), (Quality.FULL, Quality.FULL, False), (Quality.FAST, Quality.DRAFT, True),
    (Quality.FAST, Quality.FAST, False)])
def test_a_picture_that_gets_no_finer_is_not_called_coarse(tab_of, screen, finest, quality, is_told):
    screen.quality = quality
    tab = tab_of(finest)
    tab._told = SimpleNamespace(content="")
    tab._clicked(CLICK)
    assert ("still coarse" in tab._told.content) is is_told


def test_a_distance_that_was_given_up_leaves_no_pin(tab_of):
    tab = tab_of()
    tab._choose(Tool.DISTANCE)
    tab._clicked(CLICK)
    tab._client.scene.remove_by_name.reset_mock()
    tab._choose(Tool.LOOK)
    tab._client.scene.remove_by_name.assert_called_once_with(FIRST)


def test_one_more_than_fit_is_refused_and_none_is_dropped(tab_of, browser, local):
    book = Measurements()
    for _ in range(MOST_KEPT):
        book = book.with_point((0.0, 0.0, 0.0), 0)
    browser[key_of("look", local)] = as_text(book)
    tab = tab_of()
    tab.restore()
    tab._told = SimpleNamespace(content="")
    tab._clicked(CLICK)
    assert f"{MOST_KEPT} are measured" in tab._told.content
    assert kept_by(browser, local)[::MOST_KEPT - 1] == ["Point 1", f"Point {MOST_KEPT}"]


def test_a_distance_is_a_line_between_two_posts_above_the_ground():
    start, end = np.array([1.0, 2, 3]), np.array([5.0, 2, 3])
    first, second, line = fence(start, end)
    assert np.array_equal(first[0], start)
    assert np.array_equal(second[0], end)
    assert np.array_equal(line, [first[1], second[1]])
    assert np.allclose(line[:, 2], 3 + POST_UNITS)
