from dataclasses import replace

import pytest

from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.status_words import ModelState, Situation, status_html

GOOD = Situation(ModelState.READY, quality=Quality.FULL, took_s=0.84)


@pytest.mark.parametrize(("situation", "told"), [
    (Situation(ModelState.NONE), "No model yet"),
    (Situation(ModelState.LOADING, "step 200"), "Loading the model</b> step 200"),
    (Situation(ModelState.FAILED, "no such file"), "could not be opened:</b> no such file"),
    (Situation(ModelState.READY), "Making the first picture"),
    (GOOD, "<b>Finished picture</b> made in 0.8 s"),
    (replace(GOOD, took_s=0.001), "made in less than 0.1 s"),
    (replace(GOOD, quality=Quality.DRAFT), "Getting finer…</b> coarse picture"),
    (replace(GOOD, quality=Quality.FAST, last_rung=Quality.FAST), "<b>Medium picture</b>"),
    (replace(GOOD, stale="view", waited_s=4.2), "earlier view, 4 s late"),
    (replace(GOOD, waits_for_other=True), "Waiting for the other picture</b>"),
    (replace(GOOD, memory_was_short=True), "memory ran out"),
    (replace(GOOD, failure="out of luck"), "could not be made:</b> out of luck"),
    (replace(GOOD, looked_at="Checkpoint of step 3"), "You look at:</b> Checkpoint of step 3"),
    (replace(GOOD, compared_with="Checkpoint of step 3"), "Compared with:</b> Checkpoint of step 3"),
    (replace(GOOD, notice="no newer one"), "no newer one"),
    (replace(GOOD, model=ModelState.LOADING, model_words="step 9", has_model=True), "Loading a newer model</b> step 9"),
    (replace(GOOD, model=ModelState.FAILED, model_words="half", has_model=True), "newer model could not be opened"),
    (replace(GOOD, missing="no normals"), "no normals")])
def test_every_state_is_said(situation, told):
    assert told in status_html(situation)


@pytest.mark.parametrize("state", [ModelState.LOADING, ModelState.FAILED])
def test_what_becomes_of_a_newer_model_stands_below_the_picture_of_the_older(state):
    told = status_html(replace(GOOD, model=state, model_words="step 9", has_model=True))
    assert told.index("Finished picture") < told.index("step 9")


@pytest.mark.parametrize("field", ["failure", "missing", "looked_at", "compared_with", "notice"])
def test_a_reason_of_others_is_harmless(field):
    assert "<img" not in status_html(replace(GOOD, **{field: "<img src=x onerror=alert(1)>"}))
    assert "<img" not in status_html(Situation(ModelState.FAILED, "<img src=x onerror=alert(1)>"))
