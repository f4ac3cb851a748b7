from dataclasses import replace

import pytest

from adaptive_nerf.rendering.types import Quality
from adaptive_nerf.viewer.status_words import ModelState, Situation, status_line

GOOD = Situation(ModelState.READY, quality=Quality.FULL, took_s=0.84)


@pytest.mark.parametrize(("situation", "told"), [
    (Situation(ModelState.NONE), "No model yet"),
    (Situation(ModelState.LOADING, "step 200"), "Loading the model** step 200"),
    (Situation(ModelState.FAILED, "no such file"), "could not be opened:** no such file"),
    (Situation(ModelState.READY), "Making the first picture"),
    (GOOD, "**Full quality**, made in 0.8 s"),
    (replace(GOOD, quality=Quality.DRAFT), "Getting sharper** (coarse picture"),
    (replace(GOOD, quality=Quality.FAST, last_rung=Quality.FAST), "**Medium picture**"),
    (replace(GOOD, stale=True, waited_s=4.2), "earlier view, 4 s late"),
    (replace(GOOD, memory_was_short=True), "memory ran out"),
    (replace(GOOD, failure="out of luck"), "could not be made:** out of luck"),
    (replace(GOOD, missing="no normals"), "no normals")])
def test_every_state_is_said(situation, told):
    assert told in status_line(situation)


def test_a_reason_of_others_is_harmless():
    line = status_line(replace(GOOD, failure="<img src=x onerror=alert(1)>"))
    assert "<img" not in line.replace("\\<", "")
