"""The page's backend over a real, very small trained model."""

import json

import numpy as np
import pytest

from adaptive_nerf.common.errors import BadInput, Failure
from adaptive_nerf.models.checkpoint import open_checkpoint
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.pipelines.opening import scene_of
from adaptive_nerf.rendering.types import Output, Quality
from adaptive_nerf.viewer.field_adaptation import adapt_spec
from adaptive_nerf.viewer.field_backend import BEFORE, FieldBackend
from adaptive_nerf.viewer.field_models import shown
from adaptive_nerf.viewer.status_words import ModelState
from tests.support.field_backends import LAST, picture, ready
from tests.support.viewer_scene import FLIGHT, TRAINED_STEPS, view_run
from tests.support.waiting import wait_until


def test_the_model_of_the_job_is_loaded_and_can_be_looked_at(backend_of):
    backend = ready(backend_of())
    now = backend.model()
    assert now.version.startswith(LAST)
    assert len(now.expert_boxes) == 2
    assert now.epoch == 1
    assert picture(now.renderer, backend).rgb.shape == (24, 32, 3)


def test_a_model_is_blended_and_sampled_as_the_job_says(root):
    plain, told = (shown(run, scene_of(run), root / "logs/trained/checkpoints" / LAST).model.field for run in (
        view_run(root), view_run(root, ray_samples=4, routing="inverse", boundary_margin=1.0)))
    assert told.step > plain.step
    assert (told.regions.routing, told.regions.margin) == ("inverse", 1.0)


@pytest.mark.parametrize(("fields", "words"), [
    ({"checkpoint_path": "nobody"}, "holds no checkpoint; give a job_id"),
    ({"checkpoint_path": "logs/traned"}, r"holds no checkpoint; did you mean trained\?"),
    ({"checkpoint_path": ""}, "checkpoint_path is missing"),
    ({"prefix": "step77"}, "has no checkpoint 'step77'")])
def test_a_checkpoint_that_is_not_there_is_refused_before_the_page_opens(backend_of, fields, words):
    with pytest.raises(BadInput, match=words):
        backend_of(**fields)


def test_a_damaged_checkpoint_is_told_on_the_page(backend_of, root):
    path = root / "logs/trained/checkpoints" / LAST / "expert_000.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    backend = backend_of()
    wait_until(lambda: backend.model().state is ModelState.FAILED, "the failure")
    assert "expert_000" in backend.model().words
    assert backend.model().renderer is None


def test_whoever_subscribes_hears_of_changes_until_they_leave(backend_of, monkeypatch):
    heard = []
    backend = backend_of(follow=True, checkpoint_path="")
    leave = backend.subscribe(lambda: heard.append(backend.model().words))
    backend._become(words="news")
    leave()
    backend._become(words="later news")
    assert heard == ["news"]


def test_a_flight_is_absorbed_step_by_step_and_reset(backend_of):
    backend = ready(backend_of())
    before = picture(backend.model().renderer, backend)
    live = backend.begin_adaptation(FLIGHT)
    assert picture(backend.model().renderer, backend).rgb == pytest.approx(before.rgb), "nothing was learned yet"
    first = live.step()
    for _ in range(7):
        last = live.step()
    assert last.psnr_db > first.psnr_db
    live.show()
    now = backend.model()
    assert now.version.endswith("+ 8 steps on after")
    assert backend.states()[0] == BEFORE
    live._stepped_at = 0.0  # it has been still for a while
    assert np.abs(picture(now.renderer, backend).rgb - before.rgb).max() > 1e-3
    assert picture(backend.renderer_of(BEFORE), backend).rgb == pytest.approx(before.rgb)
    live.reset()
    assert picture(backend.model().renderer, backend).rgb == pytest.approx(before.rgb)
    assert backend.model().epoch > now.epoch
    assert BEFORE not in backend.states()


def test_what_was_kept_is_the_base_of_the_next_and_can_be_undone(backend_of):
    backend = ready(backend_of())
    versions = [backend.model().version]
    for _ in range(2):
        live = backend.begin_adaptation(FLIGHT)
        live.step()
        live.keep()
        versions.append(backend.model().version)
    assert versions[2] == f"{versions[0]} + 1 steps on after + 1 steps on after"
    for version in (versions[1], versions[0]):
        assert backend.can_undo()
        backend.undo()
        assert backend.model().version == version
    assert not backend.can_undo()


def test_a_saved_model_is_a_checkpoint_with_its_history(backend_of, root):
    backend = ready(backend_of())
    live = backend.begin_adaptation(FLIGHT)
    live.step()
    live.step()
    assert backend.has_unsaved()
    path = backend.save()
    assert str(path) == f"checkpoints/step{TRAINED_STEPS + 2:06d}"
    assert not backend.has_unsaved()
    saved = open_checkpoint(root / "logs/look" / path)
    assert saved.manifest.kind == "adapt"
    lineage = saved.manifest.lineage[-1]
    assert (lineage.op, lineage.batch, lineage.steps) == ("adapt", FLIGHT, 2)
    assert CheckpointStore.of_job(root / "logs/look").pointed("best") == saved.folder
    live.step()
    assert backend.has_unsaved()
    live._stepped_at = 0.0
    live.show()
    again = view_run(root, "again", checkpoint_path="look", prefix="best")
    other = FieldBackend(again, scene_of(again))
    assert ready(other).model().version.startswith("step000008")
    other.close()


def test_what_was_kept_lies_on_the_disk_and_becomes_the_newest_with_save(backend_of, root):
    """It may be undone, and then other jobs must not begin with it."""
    backend, store = ready(backend_of()), CheckpointStore.of_job(root / "logs/look")
    live = backend.begin_adaptation(FLIGHT)
    live.step()
    live.keep()
    place = backend.write_kept()
    assert open_checkpoint(root / "logs/look" / place).manifest.lineage[-1].batch == FLIGHT
    assert store.pointed("last") is None
    assert backend.has_unsaved()
    assert backend.save() == place, "nothing is written twice"
    assert (store.pointed("last"), len(store.steps())) == (root / "logs/look" / place, 1)
    assert not backend.has_unsaved()


def test_what_was_kept_and_undone_is_not_saved_in_place_of_the_model(backend_of, root):
    backend, store = ready(backend_of()), CheckpointStore.of_job(root / "logs/look")
    live = backend.begin_adaptation(FLIGHT)
    live.step()
    live.keep()
    backend.write_kept()
    backend.undo()
    assert store.pointed("last") is None
    assert not backend.has_unsaved()
    assert backend.save().name == f"step{TRAINED_STEPS:06d}"


@pytest.mark.parametrize(("error", "words"), [(MemoryError(), "memory ran out"), (RuntimeError("no luck"), "no luck")])
def test_another_checkpoint_that_cannot_be_opened_is_a_failure_with_words(backend_of, monkeypatch, error, words):
    backend = ready(backend_of())

    def fails(*_):
        raise error

    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.shown", fails)
    with pytest.raises(Failure, match=words):
        backend.renderer_of("Checkpoint of step 3")


def test_two_ways_with_as_many_steps_are_saved_beside_each_other(backend_of, root):
    backend = ready(backend_of())
    for _ in range(2):
        live = backend.begin_adaptation(FLIGHT)
        live.step()
        backend.save()
        live.reset()
    assert list(CheckpointStore.of_job(root / "logs/look").steps()) == [TRAINED_STEPS + 1, TRAINED_STEPS + 2]


def test_other_checkpoints_can_be_compared_with(backend_of, monkeypatch):
    monkeypatch.setattr("adaptive_nerf.viewer.field_backend.STATES_FRESH_S", -1.0)
    backend = ready(backend_of())
    assert backend.states() == ["Checkpoint of step 3"]
    earlier = picture(backend.renderer_of("Checkpoint of step 3"), backend)
    assert earlier.model_version.startswith("step000003")
    backend.save()
    assert backend.states()[0] == f"Checkpoint of step {TRAINED_STEPS} (saved here)"
    with pytest.raises(BadInput, match="gone"):
        backend.renderer_of("Checkpoint of step 4")


def test_full_quality_waits_while_it_learns(backend_of):
    backend = ready(backend_of())
    live = backend.begin_adaptation(FLIGHT)
    live.step()
    asked = []

    def cancelled():
        asked.append(1)
        live._stepped_at = 0.0  # the steps have come to an end
        return False

    camera = backend.scene.photos[0].camera(backend.scene.frame.metres_per_unit)
    renderer = backend.model().renderer
    renderer.render(camera, frozenset({Output.RGB}), Quality.FULL, cancelled)
    waited = len(asked)
    asked.clear()
    live.step()
    renderer.render(camera, frozenset({Output.RGB}), Quality.FAST, cancelled)
    assert waited > len(asked)


def test_a_view_job_adapts_with_the_fields_that_it_has(root):
    spec = adapt_spec(view_run(root, downscale=0.5, seed=7).spec, FLIGHT)
    assert (spec.op, spec.batch, spec.downscale, spec.seed) == ("adapt", FLIGHT, 0.5, 7)


def test_a_flight_that_is_not_there(backend_of):
    with pytest.raises(BadInput, match="update_dataset"):
        ready(backend_of()).begin_adaptation("never")


def test_a_flight_that_is_added_while_the_page_is_open_is_found(backend_of, root):
    aside = (root / "scene/continual" / FLIGHT).rename(root / "aside")
    backend = ready(backend_of())
    backend.look_for_flights()
    assert list(backend.scene.flights) == []
    aside.rename(root / "scene/continual" / FLIGHT)
    backend.look_for_flights()
    assert len(backend.scene.flights[FLIGHT]) == 2
    backend.begin_adaptation(FLIGHT).step()


def test_a_later_flight_that_is_damaged_is_told_and_the_page_goes_on(backend_of, root):
    aside = (root / "scene/continual" / FLIGHT).rename(root / "aside")
    backend = ready(backend_of())
    next((aside / "metadata").glob("*.pt")).write_bytes(b"half")
    aside.rename(root / "scene/continual" / FLIGHT)
    backend.look_for_flights()
    assert list(backend.scene.flights) == []
    told = json.loads((root / "logs/look/progress.json").read_text())["warnings"]
    assert any("later flight cannot be read" in warning for warning in told)


def test_a_scene_without_its_model_says_why_there_are_no_points(backend_of):
    backend = backend_of()
    wait_until(lambda: backend.points().known, "the points are looked for")
    assert backend.points().points is None
    assert "is not beside it" in backend.points().words


def test_one_expert_alone_is_the_model_without_the_others(backend_of):
    backend = ready(backend_of())
    renderer = backend.model().renderer
    camera = backend.scene.photos[0].camera(backend.scene.frame.metres_per_unit)
    whole = renderer.render(camera, frozenset(Output), Quality.FULL)
    for expert in set(whole.expert_id.ravel().tolist()) - {-1}:
        alone = renderer.only([expert]).render(camera, frozenset(Output), Quality.FULL)
        assert set(alone.expert_id.ravel().tolist()) <= {-1, expert}
        assert (alone.opacity <= whole.opacity + 0.05).all()
