"""Pictures taken home, photos visited, jobs read, the page ended, a server that went and came back."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.viewer.viewpoints import View, link_query
from tests.support.town_page_person import gap
from tests.support.town_page_truth import WINDOW

pytestmark = pytest.mark.system


@pytest.mark.parametrize("kind", ["With drawings", "Picture only"])
def test_a_snapshot_is_downloaded_and_kept_with_its_pose(shared_server, visit, kind):
    person = visit(shared_server)
    window = person.looks()
    person.opens("Snapshots")
    download = person.downloads(kind)
    content = download.path().read_bytes()
    kept = shared_server.job / "snapshots" / download.suggested_filename
    assert kept.read_bytes() == content
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize(WINDOW))
    assert gap(picture[150:540, :640], window[150:540, :640]) < 12
    pose = json.loads(kept.with_suffix(".json").read_text())
    assert pose["heading_deg"] == pytest.approx(0, abs=1)
    assert "°" in pose["position"]


def test_a_click_on_a_photo_flies_there_and_shows_it(shared_server, visit, truth):
    """Its little camera hangs in the middle of the window."""
    photo = truth.scene.photos[3]
    place = truth.scene.frame.convert(FrameName.SCENE, FrameName.VIEWER).points(photo.c2w_scene[:, 3])
    person = visit(shared_server, link_query(View(place + np.array([-3.0, -12, 5]), place, 0.9)))
    before = person.looks()
    person.clicks(WINDOW[0] // 2, WINDOW[1] // 2)
    person.sees(photo.name)
    person.sees("The picture behind is what the model shows from there")
    person.sees_other_than(before, "the view of the photo", slice(420, 700))
    person.presses("Close the photo")


def test_jobs_are_told_and_their_names_are_nothing_but_text(shared_server, visit):
    person = visit(shared_server)
    person.opens("Jobs")
    person.sees("train-<b>1</b>")
    person.sees("running, step 410 of 1000, 95 s to go")
    person.sees("failed: out of memory")


def test_the_page_asks_before_it_ends(serve, visit):
    served = serve()
    person = visit(served)
    person.opens("Session")
    person.presses("End this page for everybody")
    person.presses("Go on")
    assert served.process.poll() is None
    person.presses("End this page for everybody")
    person.presses("End it")
    assert served.process.wait(60) == 0


def test_a_time_limit_warns_before_it_ends(serve, visit):
    person = visit(serve(limit_s=290.0))
    person.sees(re.compile(r"This page ends in \d min"))
    person.opens("Session")
    person.sees(re.compile("ends in"))


def test_a_server_that_was_killed_and_came_back_is_found_again(serve, visit):
    """What was measured is there again; the browser kept it."""
    served = serve()
    person = visit(served)
    person.opens("Measure")
    person.presses("Point")
    person.clicks(420, 560)
    person.sees("Point 1: ")
    served.end()
    person.sees("Connecting")
    serve(port=served.port)
    person.sees("Connected")
    person.wait_until_sharp()
    person.opens("Measure")
    person.sees("Delete")
