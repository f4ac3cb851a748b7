"""The operation `view`, whole: a real model, a real server, a browser played by http.client and websockets."""

import http.client
import json
import logging
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adaptive_nerf.common.errors import AdaptiveNerfError, BadInput
from adaptive_nerf.common.run_progress import StopRequested
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.viewer import session
from adaptive_nerf.viewer.listening import PortTaken, listen
from tests.support.page_client import PageClient
from tests.support.viewer_scene import FLIGHT, TRAINED_STEPS, make_trained_job, view_run
from tests.support.waiting import wait_until

CLONE = Path(__file__).resolve().parents[3]


@dataclass
class Viewing:
    """A view job on a thread, as the runner would have it in its process."""

    run: object
    stop: threading.Event
    ending: list = field(default_factory=list)  # a result or an error
    states: list = field(default_factory=list)

    def work(self):
        try:
            self.ending.append(session.view(self.run))
        except (AdaptiveNerfError, OSError) as error:
            self.ending.append(error)

    @property
    def url(self):
        path = self.run.out / "viewer_url"
        return wait_until(lambda: path.exists() and path.read_text().strip(), "the address")

    @property
    def key(self):
        return self.url.partition("?token=")[2]

    @property
    def port(self):
        return int(self.url.partition("/?")[0].rpartition(":")[2])

    @property
    def state(self):
        return wait_until(lambda: self.states and self.states[0], "the session")

    def progress(self):
        return json.loads((self.run.out / "progress.json").read_text())

    def browser(self):
        return PageClient(self.port, self.key)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("watched")
    make_trained_job(root)
    return root


@pytest.fixture
def viewing_of(trained, monkeypatch):
    """Starts view jobs; whatever a test leaves open is stopped."""
    made, threads = [], []

    class Watched(session.SessionState):
        def __post_init__(self):
            super().__post_init__()
            next(one for one in made if one.run.out == self.folder).states.append(self)

    monkeypatch.setattr(session, "SessionState", Watched)

    def make(name, **fields):
        with listen("127.0.0.1", 0) as free:
            port = free.getsockname()[1]
        stop = threading.Event()
        run = view_run(trained, name, stop.is_set, **{"viewer_port": port, **fields})
        made.append(Viewing(run, stop))
        threads.append(threading.Thread(target=made[-1].work))
        threads[-1].start()
        return made[-1]

    yield make
    for viewing, thread in zip(made, threads, strict=True):
        viewing.stop.set()
        thread.join()
        shutil.rmtree(viewing.run.out, ignore_errors=True)  # one job may have run twice


def ended(viewing):
    return wait_until(lambda: viewing.ending, "the end")[0]


def test_people_look_and_one_of_them_ends_it(viewing_of, caplog):
    caplog.set_level(logging.INFO)
    viewing = viewing_of("look")
    key = viewing.key
    assert viewing.url == f"http://127.0.0.1:{viewing.port}/?token={viewing.key}"
    assert (viewing.run.out / "viewer_url").stat().st_mode & 0o777 == 0o600
    assert viewing.progress()["url"] == f"http://127.0.0.1:{viewing.port}/"
    with viewing.browser() as first, viewing.browser() as second:
        for browser in (first, second):
            browser.wait_for_picture()
        wait_until(lambda: viewing.progress()["metrics"].get("people") == 2, "two people are told")
        viewing.state.end("Person 2")
        result = ended(viewing)
    assert result.artifacts == ()
    assert result.metrics["open_s"] > 0
    assert not (viewing.run.out / "viewer_url").exists()
    assert key not in caplog.text + (viewing.run.out / "progress.json").read_text()
    assert "Person 2 ended the page" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    ours = {"render queue", "adaptation", "jobs feed", "front door", "model loader"}
    assert not [one.name for one in threading.enumerate() if one.name in ours or one.name.startswith("page of")]


def test_a_stop_saves_what_was_learned(viewing_of):
    viewing = viewing_of("stopped")
    adaptation = viewing.state.adaptation
    wait_until(lambda: viewing.state.backend.model().renderer, "the model")
    adaptation.start("Person 1", FLIGHT, 2)
    wait_until(lambda: adaptation.status().steps == 2, "two steps")
    viewing.stop.set()
    ending = ended(viewing)
    assert isinstance(ending, StopRequested)
    place = CheckpointStore.of_job(viewing.run.out).pointed("last")
    assert place.name == f"step{TRAINED_STEPS + 2:06d}"
    assert ending.result.artifacts == (f"checkpoints/{place.name}",)


@pytest.mark.parametrize("kept", [False, True])
def test_who_ends_it_loses_what_was_not_kept(viewing_of, kept):
    viewing = viewing_of(f"ended-{kept}")
    adaptation = viewing.state.adaptation
    wait_until(lambda: viewing.state.backend.model().renderer, "the model")
    adaptation.start("Person 1", FLIGHT, 1)
    wait_until(lambda: adaptation.status().steps == 1, "a step")
    if kept:
        adaptation.keep("Person 1")
        wait_until(lambda: adaptation.status().can_undo, "kept")
    viewing.state.end("Person 1", told_of_unkept=True)
    assert len(ended(viewing).artifacts) == int(kept)


def test_what_nobody_was_asked_about_is_not_lost(viewing_of):
    """Somebody asks to end it; before they press again, another one has learned."""
    viewing = viewing_of("unasked")
    adaptation = viewing.state.adaptation
    wait_until(lambda: viewing.state.backend.model().renderer, "the model")
    adaptation.start("Person 2", FLIGHT, 1)
    wait_until(lambda: adaptation.status().steps == 1, "a step")
    viewing.state.end("Person 1", told_of_unkept=False)
    assert ended(viewing).artifacts == (f"checkpoints/step{TRAINED_STEPS + 1:06d}",)


def test_a_save_in_progress_at_the_end_is_in_the_result(viewing_of, monkeypatch):
    viewing = viewing_of("saving")
    adaptation, backend = viewing.state.adaptation, viewing.state.backend
    wait_until(lambda: backend.model().renderer, "the model")
    saving, save = threading.Event(), backend.save

    def slowly():
        saving.set()
        wait_until(lambda: adaptation._closed, "the page ends meanwhile")
        return save()

    monkeypatch.setattr(backend, "save", slowly)
    adaptation.save()
    assert saving.wait(30)
    viewing.state.end("Person 1")
    assert ended(viewing).artifacts == (f"checkpoints/step{TRAINED_STEPS:06d}",)


def test_a_page_that_cannot_be_built_says_so_and_leaves_no_thread(viewing_of, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("no tabs today")

    monkeypatch.setattr(session.Page, "_build", fails)
    viewing = viewing_of("unbuilt")
    with viewing.browser() as browser:
        browser.wait_for(lambda message: "This page could not be built" in str(message))
    assert "no tabs today" in caplog.text
    assert not [one.name for one in threading.enumerate() if one.name == "render queue"]


def test_words_for_a_browser_that_has_just_gone_are_no_fault(viewing_of, monkeypatch):
    told, close = [], session.Page.close

    def still_tells(page):
        page._status.content = "are you there?"
        told.append(page)
        close(page)

    monkeypatch.setattr(session.Page, "close", still_tells)
    viewing = viewing_of("gone")
    with viewing.browser() as browser:
        browser.wait_for_picture()
    wait_until(lambda: told, "the page of who has gone is told so")


def test_a_part_of_the_page_that_fails_is_logged_once_and_the_others_go_on(viewing_of, monkeypatch, caplog):
    asked = []

    def fails(_):
        asked.append(1)
        raise RuntimeError("no choice today")

    monkeypatch.setattr("adaptive_nerf.viewer.model_choice.ModelChoice.tick", fails)
    monkeypatch.setattr("adaptive_nerf.viewer.page.TABS_EVERY_S", 0.0)
    viewing = viewing_of("faulty")
    with viewing.browser() as browser:
        wait_until(lambda: len(asked) > 3, "it was asked again and again")
        browser.wait_for(lambda message: "no time limit" in str(message))
    assert caplog.text.count("met a fault") == 1


def test_it_ends_when_its_time_is_over(viewing_of, caplog):
    viewing = viewing_of("short", viewer_timeout=1.0)
    assert ended(viewing).metrics["open_s"] >= 1.0
    assert "the page ends in 1 s (viewer_timeout)" in caplog.text


def test_without_any_checkpoint_the_page_is_open_and_says_so(viewing_of):
    viewing = viewing_of("early", follow=True, checkpoint_path="not-begun")
    with viewing.browser() as browser:
        browser.wait_for(lambda message: "No model yet" in str(message))


@pytest.mark.parametrize(("fields", "kind"), [
    ({"checkpoint_path": "nobody"}, BadInput), ({"viewer_host": "203.0.113.9"}, BadInput)])
def test_what_cannot_work_ends_at_once_and_leaves_the_port_free(viewing_of, fields, kind):
    viewing = viewing_of("wrong", **fields)
    assert isinstance(ended(viewing), kind)
    assert not (viewing.run.out / "viewer_url").exists()
    listen("127.0.0.1", viewing.run.spec.viewer_port).close()


def test_a_taken_port_is_told_before_anything_is_read(viewing_of):
    with listen("127.0.0.1", 0) as taken:
        viewing = viewing_of("taken", viewer_port=taken.getsockname()[1], data_path="not/there")
        assert isinstance(ended(viewing), PortTaken)


def test_the_runner_ends_it_politely_and_tells_what_became_of_it(trained):
    """A real process: libraries that it brings along must leave the signals to us."""
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    message = {"op": "view", "data_path": "scene", "checkpoint_path": "trained", "prefix": "last", "downscale": 1.0,
               "viewer_host": "127.0.0.1", "viewer_port": port}
    (trained / "view.json").write_text(json.dumps(message))
    out = trained / "logs" / "process"
    command = [sys.executable, str(CLONE / "adaptive_nerf" / "nerf_runner.py"), "--configPath", "view.json", "--out"]
    job = subprocess.Popen([*command, str(out)], cwd=trained, stderr=subprocess.PIPE, text=True)
    try:
        wait_until((out / "viewer_url").exists, "the page")
        second = subprocess.run([*command, str(trained / "logs" / "second")], cwd=trained, capture_output=True,
                                text=True, check=False)
        assert second.returncode == 69
        assert f"port {port} of 127.0.0.1 is taken" in second.stderr
    finally:
        job.terminate()
    _, told = job.communicate()
    assert job.returncode == 75
    assert "stopped on request" in told
    assert not (out / "viewer_url").exists()


def test_the_key_is_the_same_after_a_restart(viewing_of):
    viewing = viewing_of("twice")
    key, port = viewing.key, viewing.port
    viewing.state.end("Person 1")
    ended(viewing)
    again = viewing_of("twice", viewer_port=port)
    assert again.key == key
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/", headers={"Cookie": f"adaptive_nerf_{port}={key}"})
    assert connection.getresponse().status == 200
    connection.close()
