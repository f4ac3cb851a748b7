import pytest

from adaptive_nerf.client import following
from adaptive_nerf.client.following import Lines, code_of, follow, line_of
from tests.support.event_streams import Told, event


def test_a_job_is_followed_to_its_end(capsys):
    stream = Told([], [event("started")], [event("progress", progress={"step": 3, "of": 12, "eta_s": 90.0})],
                  [event("succeeded", "SUCCEEDED", result={"metrics": {"psnr": 21.04567}}, log_dir="logs/a", code=0)])
    assert follow(stream, "a", [event("accepted", "ACCEPTED"), event("queued", "QUEUED")]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "a accepted", "a waits for its turn", "a runs on cpu-0", "a is at 3 of 12, about 90 s left",
        "a is done, psnr 21.05, see logs/a"]


def test_a_failure_tells_its_cause_what_to_do_and_the_last_words():
    told = line_of(event("failed", "FAILED", cause="no room", hint="free some", log_tail="one\n\x1b[2Jtwo\n", code=70))
    assert told.splitlines() == ["failed: no room", "  to do: free some", "  its last words:", "    one",
                                 "    \\x1b[2Jtwo"]


@pytest.mark.parametrize(("told", "line"), [
    (event("started", attempt=2), "runs on cpu-0, attempt 2"),
    (event("warning", message="no \x1bGPU"), "warning: no \\x1bGPU"),
    (event("retry", "RETRY_WAIT", cause="lost", retry_in_s=10.2), "attempt 1 failed: lost; the next one in 10 s"),
    (event("retry", "RETRY_WAIT", cause="the port is taken", hint="free it", retry_in_s=10.2),
     "attempt 1 failed: the port is taken; free it; the next one in 10 s"),
    (event("stopping", reason="timeout"), "is asked to stop: timeout"), (event("cancelled"), "is cancelled"),
    (event("duplicate", "RUNNING"), "was accepted before, and is RUNNING; the same job is not run twice"),
    (event("something new"), ""), (event("progress"), "")])
def test_events_are_told_in_plain_words(told, line):
    assert line_of(told) == line


@pytest.mark.parametrize(("state", "code", "exit_code"), [
    ("SUCCEEDED", 0, 0), ("FAILED", 65, 65), ("FAILED", None, 1), ("FAILED", 0, 1), ("FAILED", -9, 1),
    ("CANCELLED", 75, 75), ("CANCELLED", None, 75)])
def test_the_exit_code_is_that_of_the_job(state, code, exit_code):
    assert code_of({"state": state, "code": code}) == exit_code


def test_progress_is_a_line_now_and_then(monkeypatch, capsys):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(following.time, "monotonic", lambda: next(clock))
    lines = Lines("a")
    for step in range(8):
        lines.progress({"step": step, "metrics": {"loss": None, "psnr": 20.0}})
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["a is at work, psnr 20", "a is at 3, psnr 20"]
    assert 1 < len(said) < 8


def test_a_job_that_had_ended_before_is_told_at_once():
    assert follow(Told(), "a", [event("duplicate", "FAILED", code=65)]) == 65
