"""The page of a real `view` job in a real browser: Apache Kafka, a mediator, its runner, a model that a job trained.

What the page shows is compared with the model itself, rendered here without the page.
"""

import io
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.geometry.frames import FrameName
from adaptive_nerf.geometry.geodesy import ecef_from_geodetic
from adaptive_nerf.models.checkpoint import open_checkpoint
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.rendering.types import Output
from adaptive_nerf.viewer.display import NOTHING
from adaptive_nerf.viewer.overview import overview_of
from adaptive_nerf.viewer.viewpoints import view_of_link
from tests.support.browser import CANVAS, HAS_WEBGL2
from tests.support.kafka import real_kafka  # noqa: F401
from tests.support.town_page_person import Person, gap, patch, read_json
from tests.support.town_page_truth import WINDOW
from tests.support.view_job import PARTITION, looked, service, trained  # noqa: F401
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system
PLACES = [(120, 240), (300, 300), (480, 420), (600, 540), (560, 250)]  # of the window, left of the panel
SPOTS = [(480, 500), (300, 330)]
GRID = [(x, y) for x in range(60, 660, 60) for y in range(200, 540, 60) if x > 360 or y < 500]  # free of panels
MODES = ("Depth (metres)", "Opacity", "Normals", "Expert")
ALL = frozenset(Output)
LAYERS = ("Photos learned", "Check photos", "Later flights")


@pytest.fixture
def come(open_tab):
    """Somebody opens a page."""
    def make(page, query=""):
        return Person(open_tab(page.url + query, width=WINDOW[0], height=WINDOW[1]))

    return make


@pytest.fixture
def visit(come):
    """They wait until the picture is sharp, and hide the little cameras that hang in the air."""
    def make(page, query=""):
        person = come(page, query)
        person.wait_until_sharp()
        for layer in LAYERS:
            person.ticks(layer)
        return person

    return make


@pytest.fixture(scope="module")
def early(service):  # noqa: F811
    """A page that was opened before there was any checkpoint to show, for five minutes."""
    return service.view("early", follow=True, mask_dirname=PARTITION, viewer_timeout=295)


def pixel_of(frame, x, y):
    """Row and column of a window pixel in a frame of that window."""
    return int((y + 0.5) * frame.camera.height / WINDOW[1]), int((x + 0.5) * frame.camera.width / WINDOW[0])


def changed(person, former):
    """Share of the pixels, free of panels, that are clearly others now."""
    here = np.s_[150:540, :640]
    return (np.abs(person.tab.picture()[here].astype(int) - former[here]).max(-1) > 8).mean()


def kept_dip_deg(person):
    """How steeply the view looks down that the browser keeps; -1 where it keeps none."""
    text = person.page.evaluate("Object.entries(localStorage).filter(([key]) => key.includes('nerf-view-'))[0]?.[1]")
    view = view_of_link(text or "")
    return view.dip_deg() if view else -1


def test_it_opens_before_any_checkpoint_and_shows_what_the_training_writes(service, early, come, request):  # noqa: F811
    person = come(early)
    person.sees("No model yet")
    person.sees("waiting for a checkpoint of town")
    person.sees("Each little camera is a photo")
    person.sees(re.compile(r"This page ends in \d min"))
    assert person.page.get_by_role("checkbox", name="Survey points").is_checked()
    empty = person.looks()
    request.getfixturevalue("trained")
    person.wait_until_sharp()
    assert gap(person.looks()[150:500, :600], empty[150:500, :600]) > 4
    assert not person.page.get_by_role("checkbox", name="Survey points").is_checked()
    person.opens("Jobs")
    person.sees("town")
    person.sees("done")


def test_the_picture_is_the_models(looked, trained, visit):  # noqa: F811
    person = visit(looked)
    assert person.page.evaluate(HAS_WEBGL2)
    assert person.page.locator(CANVAS).is_visible()
    picture, frame = person.looks(), trained.mixture.render(trained.camera, ALL)
    for x, y in PLACES:
        row, column = pixel_of(frame, x, y)
        expected = 255 * frame.rgb[row - 1:row + 2, column - 1:column + 2].mean((0, 1))
        assert np.abs(patch(picture, x, y) - expected).max() < 16, (x, y)


def test_each_mode_is_another_picture_and_none_is_rendered_anew(looked, visit):  # noqa: F811
    person = visit(looked)
    seen = [person.looks()]
    made = person.sees(re.compile("made in")).inner_text()
    for mode in MODES:
        person.chooses("Show", mode)
        seen.append(person.sees_other_than(seen[-1], mode))
    person.sees("expert 3")
    assert person.sees(re.compile("made in")).inner_text() == made


def test_an_expert_alone_is_what_the_model_shows_without_the_others(looked, trained, visit):  # noqa: F811
    """Its own places, what was hidden behind others, and nothing where it has nothing to show."""
    person = visit(looked)
    everyone = person.looks()
    person.chooses("Experts", "Only expert 0")
    alone = person.sees_other_than(everyone, "one expert alone")
    frame = trained.mixture.only([0]).render(trained.camera, ALL)
    shown = hidden = 0
    for x, y in GRID:
        row, column = pixel_of(frame, x, y)
        around = np.s_[row - 3:row + 4, column - 3:column + 4]
        if frame.opacity[around].min() > 0.98:
            expected = 255 * frame.rgb[row - 1:row + 2, column - 1:column + 2].mean((0, 1))
            assert np.abs(patch(alone, x, y) - expected).max() < 30, (x, y)
            shown += 1
        elif frame.opacity[around].max() < 0.4:
            assert np.abs(patch(alone, x, y) - NOTHING).max() < 12, (x, y)
            hidden += 1
    assert shown
    assert hidden


def test_a_click_tells_where_that_is(looked, trained, visit):  # noqa: F811
    """On the ray through the window's pixel, as far away as the model's surface is around it."""
    person = visit(looked)
    person.opens("Measure")
    frame = trained.mixture.render(trained.camera, ALL)
    camera = frame.camera.in_frame(FrameName.ENU, trained.scene.frame)
    for number, (x, y) in enumerate(SPOTS, 1):
        person.presses("Point")
        person.clicks(x, y)
        told = person.sees(re.compile(rf"Point {number}: ")).inner_text()
        found = np.array([float(value) for value in re.findall(r"-?\d+\.\d+", told.partition(":")[2])[:3]])
        place = trained.scene.frame.convert(FrameName.ECEF, FrameName.ENU).points(ecef_from_geodetic(found))
        pixel, depth_m = camera.project(place[None])
        scale = np.array([WINDOW[0] / camera.width, WINDOW[1] / camera.height])
        assert np.abs(pixel[0] * scale - (x, y)).max() < 2
        row, column = pixel_of(frame, x, y)
        around = frame.depth_m[row - 1:row + 2, column - 1:column + 2]
        assert around.min() - 1 < depth_m[0] < around.max() + 1
    assert len(read_json(person.downloads("GeoJSON"))["features"]) == len(SPOTS)
    assert person.downloads("CSV").path().read_text().count(",point,") == len(SPOTS)


def test_two_people_each_have_a_view_of_their_own(looked, trained, visit):  # noqa: F811
    ada, ben = visit(looked), visit(looked)
    before = ben.looks()
    ada.drags((300, 300), (430, 330))
    ada.sees_other_than(before, "another view")
    assert not ada.page.get_by_text("Looking north, 48° down").is_visible()
    assert gap(ben.looks()[150:500, :600], before[150:500, :600]) < 1
    ada.opens("Session")
    ada.sees("2 people")
    ada.opens("Snapshots")
    ada.presses("Make a link")
    link = wait_until(lambda: ada.field("Link").input_value(), "the link")
    assert not np.allclose(view_of_link(link).position, overview_of(trained.scene).start.position, atol=1)
    ben.opens("Snapshots")
    ben.fills("Go to a link", link)
    ben.sees_other_than(before, "the view of the link")


def test_a_snapshot_decodes_and_is_kept_with_its_pose(looked, visit):  # noqa: F811
    person = visit(looked)
    window = person.looks()
    person.opens("Snapshots")
    download = person.downloads("With drawings")
    content = download.path().read_bytes()
    kept = looked.folder / "snapshots" / download.suggested_filename
    assert kept.read_bytes() == content
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize(WINDOW))
    assert gap(picture[150:500, :600], window[150:500, :600]) < 12
    assert "°" in json.loads(kept.with_suffix(".json").read_text())["position"]


def test_a_flight_is_learned_by_one_watched_by_all_compared_kept_and_undone(looked, visit):  # noqa: F811
    ada, ben = visit(looked), visit(looked)
    before = ben.looks()
    for person in (ada, ben):
        person.opens("Adapt")
    ada.fills("Steps", "64")
    ada.presses("One step")
    ada.sees("Paused after step 1")
    ada.presses("Start")
    ben.sees(re.compile(r"Person \d+ started it"))
    ada.sees("Paused after step 64")
    ada.sees(re.compile(r"Agreement with the new photos: [\d.]+ dB"))
    ada.sees("PSNR (dB)")
    wait_until(lambda: changed(ben, before) > 0.05, "the model learns")
    ben.presses("Reset")
    ben.sees("is adapting to event; wait")
    ben.opens("Compare")
    ben.chooses("Compare with", "Before the adaptation")
    ben.fills("Edge (%)", "100")
    wait_until(lambda: changed(ben, before) < 0.01, "left of the edge it is as before")
    ben.chooses("How", "Difference")
    ben.sees("How much the picture changed")
    ben.chooses("Compare with", "nothing")
    ada.presses("Keep")
    ada.sees("Nothing is being learned")
    ada.presses("Save a checkpoint")
    saved = ada.sees(re.compile("Saved in checkpoints/")).inner_text()
    ada.presses("Undo keep")
    wait_until(lambda: changed(ada, before) < 0.01, "all of it is as before")
    manifest = open_checkpoint(looked.folder / re.search(r"checkpoints/step\d+", saved)[0]).manifest
    assert manifest.kind == "adapt"


def test_a_checkpoint_of_the_page_is_one_that_the_service_works_with(service, looked):  # noqa: F811
    """After the test before."""
    assert CheckpointStore.of_job(looked.folder).steps()
    service.send("filmed", op="video", checkpoint_path="look", frames=2, width=48, height=32)
    service.world.wait_state("filmed", "SUCCEEDED", "FAILED", within_s=60)
    assert service.world.mediator.state_of("filmed") == "SUCCEEDED"


def test_learning_is_paused_and_reset(looked, visit):  # noqa: F811
    person = visit(looked)
    person.opens("Adapt")
    person.fills("Steps", "5000")
    person.presses("Start")
    person.sees(re.compile("step [1-9]"))
    person.presses("Pause")
    person.sees(re.compile(r"Paused after step \d+"))
    person.presses("Reset")
    person.sees("Nothing is being learned")


def test_who_has_no_key_gets_a_form_and_nothing_else(looked, open_tab):  # noqa: F811
    here = f"http://127.0.0.1:{looked.port}"
    for path in ("/", "/assets/index.js", "/viewer_url", "/../viewer_key", "/healthz/x"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(here + path, timeout=10)
        assert refused.value.code == 401
    tab = open_tab(f"{here}/")
    tab.page.get_by_label(re.compile("Paste the key")).fill("not the key")
    tab.page.get_by_role("button", name="Open the page").click()
    tab.page.get_by_text("That is not the key of this page").wait_for()
    assert not tab.page.locator("canvas").count()
    tab.page.get_by_label(re.compile("Paste the key")).fill(looked.key)
    tab.page.get_by_role("button", name="Open the page").click()
    Person(tab).wait_until_sharp()


def test_the_key_stands_where_its_owner_finds_it_and_nowhere_else(service, looked, clone):  # noqa: F811
    assert (looked.folder / "viewer_url").stat().st_mode & 0o777 == 0o600
    world = service.world
    shown = subprocess.run([sys.executable, clone / "scripts/jobs.py", "show", "look", "--state", world.state],
                           capture_output=True, text=True, check=False)
    assert looked.url.partition("?")[2] in shown.stdout, shown
    assert looked.key not in (looked.folder / "log.txt").read_text()
    assert looked.key not in world.mediator.said()
    told = json.dumps(world.events_of("look"))
    assert f":{looked.port}" in told
    assert looked.key not in told


def test_a_second_page_at_the_same_port_is_refused_in_words(service, looked):  # noqa: F811
    service.send("second", op="view", checkpoint_path="town", viewer_host="127.0.0.1", viewer_port=looked.port,
                 max_attempts=1)
    service.world.wait_state("second", "FAILED", within_s=60)
    assert service.world.mediator.job("second")["reason"] == "resource_taken"
    assert looked.answers()


def test_a_server_that_was_killed_comes_back_and_people_stand_where_they_stood(looked, visit):  # noqa: F811
    person = visit(looked)
    person.presses("From above")
    person.sees(re.compile("Looking north, 90° down"))
    wait_until(lambda: kept_dip_deg(person) > 85, "the browser keeps where they stand")
    looked.kill()
    person.sees("Connecting")
    wait_until(looked.answers, "the next attempt has opened the page", 60)
    person.sees("Connected")
    person.wait_until_sharp()
    person.sees(re.compile("Looking north, 90° down"))


def test_it_asks_before_it_ends_and_then_the_job_is_done(service, looked, visit):  # noqa: F811
    person = visit(looked)
    person.opens("Session")
    person.presses("End this page for everybody")
    person.presses("Go on")
    assert looked.answers()
    person.presses("End this page for everybody")
    person.presses("End it")
    service.world.wait_state("look", "SUCCEEDED", within_s=60)
