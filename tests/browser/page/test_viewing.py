"""The picture is the town's, in every mode; what one person does is theirs alone."""

import re

import numpy as np
import pytest

from adaptive_nerf.rendering.types import Output, Quality
from adaptive_nerf.viewer.display import NOTHING
from adaptive_nerf.viewer.overview import overview_of
from adaptive_nerf.viewer.viewpoints import link_query, view_of_link
from tests.support.browser import CANVAS, HAS_WEBGL2
from tests.support.town_page_person import Person, gap, patch
from tests.support.town_page_truth import window_camera
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
PLACES = [(120, 240), (300, 300), (480, 420), (600, 560), (420, 620), (560, 250)]  # left of the panel
MODES = ("Depth (metres)", "Opacity", "Normals", "Expert")


def test_the_first_view_shows_the_town_as_it_is(shared_server, visit, truth):
    person = visit(shared_server)
    assert person.page.evaluate(HAS_WEBGL2)
    assert person.page.locator(CANVAS).is_visible()
    camera = window_camera(overview_of(truth.scene).start, truth.scene.frame)
    picture = person.looks()
    for x, y in PLACES:
        around = np.array([(x + dx + 0.5, y + dy + 0.5) for dx in range(-3, 4) for dy in range(-3, 4)], float)
        expected = truth.before.colours_at(camera, around).mean(0)
        assert np.abs(patch(picture, x, y) - expected).max() < 30, (x, y)


def test_each_mode_is_another_picture_and_none_is_rendered_anew(shared_server, visit):
    person = visit(shared_server)
    seen = [person.looks()]
    made = person.sees(re.compile("made in")).inner_text()
    for mode in MODES:
        person.chooses("Show", mode)
        seen.append(person.sees_other_than(seen[-1], mode))
    assert person.sees(re.compile("made in")).inner_text() == made
    person.chooses("Show", "Colour")
    person.sees_again(seen[0], "colour")


def test_depth_has_a_legend_in_metres_and_follows_near_and_far(shared_server, visit):
    person = visit(shared_server)
    before = person.looks()
    person.chooses("Show", "Depth (metres)")
    person.sees(re.compile(r"^\d+ m$"))
    automatic = person.sees_other_than(before, "depth")
    person.unfolds("Colours and brightness")
    person.ticks("Depth range by itself")
    person.sees_other_than(automatic, "a fixed range")
    person.sees("200 m")


def test_one_expert_alone_hides_the_others(shared_server, visit, truth):
    person = visit(shared_server)
    everyone = person.looks()
    person.chooses("Experts", "Only expert 1")
    alone = person.sees_other_than(everyone, "one expert alone")
    camera = window_camera(overview_of(truth.scene).start, truth.scene.frame).resized(300, 175)
    experts = truth.before.render(camera, frozenset(Output), Quality.FULL).expert_id
    for x, y in PLACES:
        nearby = experts[y // 4 - 2:y // 4 + 3, x // 4 - 2:x // 4 + 3]
        if (nearby == 1).all():
            assert np.abs(patch(alone, x, y) - patch(everyone, x, y)).max() < 12, (x, y)
        elif (nearby != 1).all():
            assert np.abs(patch(alone, x, y) - NOTHING).max() < 12, (x, y)
    assert len({int(experts[y // 4, x // 4]) for x, y in PLACES}) > 1


def test_a_drag_moves_the_camera(shared_server, visit):
    person = visit(shared_server)
    before = person.looks()
    person.sees("Looking north, 48° down")
    person.drags((300, 400), (420, 430))
    person.sees_other_than(before, "another view")
    assert not person.page.get_by_text("Looking north, 48° down").is_visible()
    person.presses("Overview")
    person.sees("Looking north, 48° down")
    person.presses("From above")
    person.sees(re.compile("Looking north, 90° down"))


def test_two_people_do_not_disturb_each_other(shared_server, visit):
    ada, ben = visit(shared_server), visit(shared_server)
    before = ben.looks()
    ada.chooses("Show", "Normals")
    ada.drags((300, 400), (450, 420))
    ada.sees_other_than(before, "normals from elsewhere")
    assert gap(ben.looks()[150:, :640], before[150:, :640]) < 1
    ben.opens("Session")
    ben.sees("2 people")


def test_a_link_has_the_address_that_the_browser_has(shared_server, open_tab):
    """Not the one that the page listens on: a proxy may stand before it."""
    person = Person(open_tab(shared_server.url.replace("127.0.0.1", "localhost"), width=1200, height=700))
    person.wait_until_sharp()
    person.opens("Snapshots")
    person.presses("Make a link")
    made = wait_until(lambda: person.field("Link").input_value(), "the link")
    assert made.startswith(f"http://localhost:{shared_server.port}/?initialCameraPosition=")


def test_a_link_opens_the_same_view(shared_server, visit, truth):
    view = overview_of(truth.scene).from_above()
    person = visit(shared_server, link_query(view))
    person.sees(re.compile("Looking north, 90° down"))
    person.opens("Snapshots")
    person.presses("Make a link")
    made = wait_until(lambda: view_of_link(person.field("Link").input_value()), "the link")
    assert person.field("Link").input_value().startswith(person.page.evaluate("location.origin") + "/?")
    assert made.position == pytest.approx(view.position, abs=0.01)
    person.opens("View")
    person.presses("Overview")
    person.sees("Looking north, 48° down")
    person.opens("Snapshots")
    person.fills("Go to a link", f"{shared_server.url}&{link_query(view)}")
    person.sees(re.compile("Looking north, 90° down"))
