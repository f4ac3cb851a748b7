from dataclasses import replace

from adaptive_nerf.viewer.backend import AdaptationStatus
from adaptive_nerf.viewer.session_words import SessionFacts, due_warning, saved_html, session_html

FACTS = SessionFacts("view-1", 1, 3700.0, 12.0, None)


def test_the_session_is_told_in_plain_words():
    told = session_html(FACTS)
    assert "no time limit" in told
    assert "you alone looking" in told
    assert "1 h 01 min" in told
    assert "3 people" in session_html(replace(FACTS, people=3))
    assert "ends in <b>4 min" in session_html(replace(FACTS, left_s=240.0))
    assert "<script" not in session_html(replace(FACTS, job_id="<script>"))


def test_a_checkpoint_that_could_not_be_saved_is_told_in_place_of_the_one_before():
    saved = AdaptationStatus(saved="checkpoints/step000008")
    assert "Saved in checkpoints/step000008" in saved_html(saved)
    told = saved_html(replace(saved, error="no space left on the disk"))
    assert "no space left" in told
    assert "Saved" not in told
    assert saved_html(replace(saved, busy="saving a checkpoint")) == "", "the one before says nothing of this one"
    assert "<b>" not in saved_html(AdaptationStatus(error="<b>"))


def test_each_warning_is_given_once_and_late_comers_get_only_the_last():
    warned = frozenset()
    given = []
    for left_s in (900, 590, 580, 299, 61, 59, 3):
        due = due_warning(left_s, warned)
        if due is not None:
            given.append((left_s, due))
            warned |= {due}
    assert given == [(590, 600.0), (299, 300.0), (59, 60.0)]
    assert due_warning(200, frozenset()) == 300.0
    assert due_warning(None, frozenset()) is None
