import pytest

from adaptive_nerf.jobs.states import State
from adaptive_nerf.viewer.jobs_words import MOST_ROWS, STATE_WORDS, jobs_html

RUNNING = {"job_id": "train-1", "op": "train", "state": "RUNNING",
           "progress": {"step": 500, "of": 2000, "eta_s": 90.0, "share": 0.25}, "running_s": 30.0, "age_s": 60.0}


def test_every_state_has_words():
    assert set(STATE_WORDS) == {state.value for state in State}


def test_a_running_job_shows_how_far_it_is_and_how_long_it_takes():
    told = jobs_html([RUNNING])
    assert "<b>train-1</b> (train)" in told
    assert "running, step 500 of 2000, 90 s to go" in told
    assert "width:25%" in told


def test_a_failed_job_says_why_and_a_done_one_does_not():
    failed, done = ({**RUNNING, "state": state, "reason": "out_of_memory"} for state in ("FAILED", "SUCCEEDED"))
    assert "failed: out of memory" in jobs_html([failed])
    assert "memory" not in jobs_html([done])


def test_the_newest_job_comes_first_and_old_ones_are_counted():
    told = jobs_html([{**RUNNING, "job_id": f"job{number}."} for number in range(MOST_ROWS + 3)])
    assert told.index(f"job{MOST_ROWS + 2}.") < told.index("job5.")
    assert "job2." not in told
    assert "and 3 older jobs" in told


@pytest.mark.parametrize("nasty", ["<img src=x onerror=alert(1)>", '"><b', None, 5, ["x"], {"share": "<i>"},
                                   float("nan")])
def test_no_field_can_break_out_of_its_place(nasty):
    fields = ("job_id", "op", "state", "reason", "progress", "age_s", "running_s")
    for job in ({field: nasty for field in fields}, {**RUNNING, "progress": {"share": nasty, "step": nasty}},
                {**RUNNING, "state": "FAILED", "reason": nasty}):
        told = jobs_html([job])
        assert "<img" not in told
        assert told.count("<b>") == told.count("</b>") == 1


def test_without_jobs_it_says_so():
    assert "no jobs yet" in jobs_html([])


def test_a_page_has_no_steps_it_is_open_for_a_while():
    job = {"job_id": "look", "op": "view", "state": "RUNNING", "running_s": 125.0, "progress": {"step": 125}}
    assert "step" not in jobs_html([job])
    assert "for 2 min" in jobs_html([job])
