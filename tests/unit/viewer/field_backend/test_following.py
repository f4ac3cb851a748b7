"""The page's backend over a job that is at work: it takes newer checkpoints, but for what people learn here."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.models import manifest
from adaptive_nerf.models.checkpoint import open_checkpoint
from adaptive_nerf.viewer.field_adaptation import FieldAdaptation
from adaptive_nerf.viewer.field_models import shown
from adaptive_nerf.viewer.status_words import ModelState
from tests.support.field_backends import LAST, picture, ready
from tests.support.viewer_scene import FLIGHT
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Newest:
    """Checkpoint of the job that is followed."""

    there: Path
    away: Path

    def comes(self) -> None:
        self.away.rename(self.there)

    def goes(self) -> None:
        self.there.rename(self.away)


@pytest.fixture
def newest(root, monkeypatch):
    """Not there yet; and who follows looks often."""
    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.FOLLOW_EVERY_S", 0.02)
    found = Newest(root / "logs/trained/checkpoints" / LAST, root / "hidden")
    found.goes()
    return found


def test_it_waits_for_a_job_that_has_not_begun_and_takes_each_newer_checkpoint(backend_of, root, monkeypatch):
    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.FOLLOW_EVERY_S", 0.02)
    store = root / "logs/trained/checkpoints"
    hidden = root / "hidden"
    store.rename(hidden)
    backend = backend_of(follow=True, mask_dirname="pair")
    now = backend.model()
    assert (now.state, now.renderer, len(now.expert_boxes)) == (ModelState.NONE, None, 2)
    assert "trained" in now.words
    store.mkdir()
    (hidden / "step000003").rename(store / "step000003")  # whole at once, as it is written
    ready(backend)
    assert backend.model().version.startswith("step000003")
    (hidden / LAST).rename(store / LAST)
    wait_until(lambda: backend.model().version.startswith(LAST), "the newer one")
    assert backend.model().epoch == 2


def test_one_that_follows_says_that_it_does_so_no_more_after_keep_and_goes_on_after_undo(backend_of, newest):
    backend = ready(backend_of(follow=True))
    assert backend.model().notice == ""
    live = backend.begin_adaptation(FLIGHT)
    live.step()
    assert backend.model().notice == ""
    newest.comes()
    wait_until(lambda: f"{LAST} is there. It is taken after Reset" in backend.model().notice, "the newer one is told")
    live.keep()
    assert f"newer checkpoints of trained are not taken. {LAST} is there. Undo keep" in backend.model().notice
    backend.undo()
    wait_until(lambda: backend.model().version.startswith(LAST), "it follows again")
    assert backend.model().notice == ""


def test_a_newer_checkpoint_that_comes_while_an_adaptation_begins_is_left_alone(backend_of, newest, root, monkeypatch):
    """What was learned would else be saved as if it had begun with the newer one."""
    backend = ready(backend_of(follow=True))

    def read_photos_slowly(*args):
        newest.comes()
        wait_until(lambda: LAST in backend.model().notice, "the newer one is told")
        return FieldAdaptation(*args)

    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.FieldAdaptation", read_photos_slowly)
    live = backend.begin_adaptation(FLIGHT)
    live.step()
    saved = open_checkpoint(root / "logs/look" / backend.save())
    live.reset()
    base = hashlib.sha256((newest.there.parent / "step000003" / manifest.NAME).read_bytes()).hexdigest()
    assert saved.manifest.lineage[-1].base == base
    wait_until(lambda: backend.model().version.startswith(LAST), "it follows again")


def test_one_that_is_read_while_an_adaptation_begins_is_not_taken_either(backend_of, newest, monkeypatch):
    backend = ready(backend_of(follow=True))
    began = threading.Event()

    def begins_meanwhile(run, scene, folder):
        if folder.name == LAST and not began.is_set():
            backend.begin_adaptation(FLIGHT)
            began.set()
        return shown(run, scene, folder)

    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.shown", begins_meanwhile)
    newest.comes()
    wait_until(lambda: began.is_set() and LAST in backend.model().notice, "the newer one is told")
    now = backend.model()
    assert (now.state, now.version, now.words) == (ModelState.READY, now.version, now.version)
    assert now.version.startswith("step000003")


def test_an_adaptation_that_cannot_begin_does_not_stop_it_from_following(backend_of, newest, monkeypatch):
    backend = ready(backend_of(follow=True))
    backend.begin_adaptation(FLIGHT)  # and no step

    def fails(*_):
        raise BadData("continual/after", "is gone")

    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.FieldAdaptation", fails)
    with pytest.raises(BadData):
        backend.begin_adaptation(FLIGHT)
    newest.comes()
    wait_until(lambda: backend.model().version.startswith(LAST), "it follows again")


def test_undo_with_a_flight_begun_goes_on_to_follow(backend_of, newest):
    backend = ready(backend_of(follow=True))
    live = backend.begin_adaptation(FLIGHT)
    live.step()
    live.keep()
    backend.begin_adaptation(FLIGHT)  # and no step
    backend.undo()
    newest.comes()
    wait_until(lambda: backend.model().version.startswith(LAST), "it follows again")


def test_a_damaged_newer_checkpoint_leaves_the_older_model_in_its_place(backend_of, newest):
    backend = ready(backend_of(follow=True))
    (newest.away / "expert_000.safetensors").write_bytes(b"half")
    newest.comes()
    wait_until(lambda: backend.model().state is ModelState.FAILED, "the failure")
    assert backend.model().version.startswith("step000003")
    assert picture(backend.model().renderer, backend).rgb.shape == (24, 32, 3)


def test_a_checkpoint_that_vanishes_while_it_is_opened_leaves_all_as_it_was(backend_of, newest, monkeypatch):
    backend = ready(backend_of(follow=True))
    before, gone = backend.model(), threading.Event()

    def pruned(run, scene, folder):
        newest.goes()
        gone.set()
        raise FileNotFoundError(folder)

    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.shown", pruned)
    newest.comes()
    assert gone.wait(30)
    wait_until(lambda: backend.model().state is not ModelState.LOADING, "the page says what it shows")
    assert backend.model() == before


@pytest.mark.parametrize(("path", "words"), [("", "names no training to wait for"), ("/etc", "outside of what"),
                                             ("later", "waiting for a checkpoint of later")])
def test_one_that_waits_says_for_what(backend_of, path, words, caplog):
    caplog.set_level("INFO")
    assert words in backend_of(follow=True, checkpoint_path=path).model().words
    assert words in caplog.text
