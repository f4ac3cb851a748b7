"""What people see, drawn from what a real store tells."""

import io
import re

import pytest
from rich.console import Console

from adaptive_nerf.client import tables
from adaptive_nerf.client.tables import facts, job_table, share_bar, why
from adaptive_nerf.jobs.records import Draft
from adaptive_nerf.jobs.states import Reason, State
from adaptive_nerf.jobs.store import Store
from adaptive_nerf.jobs.views import Desk
from tests.support.jobs import add, as_told, end, run


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "state", "mediator")
    yield store
    store.close()


@pytest.fixture
def ask(store, tmp_path):
    desk = Desk(store, tmp_path / "logs", lambda: {"topic": "nerfConfigs", "ready": False, "why": "no broker"},
                str, lambda: None)
    return lambda verb, **more: as_told(desk.answer({"verb": verb, **more}))


@pytest.fixture
def drawn(monkeypatch):
    """What is printed on a wide screen without colours."""
    screen = Console(file=io.StringIO(), width=200, color_system=None)
    monkeypatch.setattr(tables, "console", lambda: screen)
    return screen.file.getvalue


def test_the_list_tells_state_progress_time_left_and_why(store, ask, drawn):
    for name in ("waits", "runs", "fails", "again"):
        add(store, name)
    run(store, "runs", ("GPU-1",), progress={"step": 1, "of": 4, "eta_s": 300.0})
    run(store, "fails")
    end(store, "fails", State.FAILED, Draft("failed"), reason=Reason.BAD_DATA, detail="no \x1b[2Jphotos")
    run(store, "again")
    end(store, "again", State.RETRY_WAIT, Draft("retry"), reason=Reason.LOST, not_before_steady_s=1e9)
    tables.print_list(ask("list"))
    lines = {line.split()[0]: line for line in drawn().splitlines()}
    assert "QUEUED" in lines["waits"]
    assert "██░░░░░░░░  25%  5 min" in lines["runs"]
    assert "GPU-1" in lines["runs"]
    assert "bad_data: no \\x1b[2Jphotos" in lines["fails"]
    assert "again in " in lines["again"]
    assert "lost" in lines["again"]
    assert "1 failed" in drawn().splitlines()[-1]


def test_a_long_reason_does_not_push_names_off_the_screen(store, ask):
    add(store, "train-20261125-171148-ece2")
    run(store, "train-20261125-171148-ece2")
    end(store, "train-20261125-171148-ece2", State.FAILED, Draft("failed"), reason=Reason.BAD_DATA, detail="no " * 60)
    screen = Console(file=io.StringIO(), width=120, color_system=None)
    screen.print(job_table(ask("list")))
    assert re.search("^train-20261125-171148-ece2  train  FAILED .* bad_data: no", screen.file.getvalue(), re.MULTILINE)


def test_no_jobs_is_said(ask, drawn):
    tables.print_list(ask("list"))
    assert "no jobs yet" in drawn()


def test_show_tells_everything_about_a_failure(store, ask, drawn, tmp_path):
    add(store, "a", seed=3)
    run(store, "a")
    end(store, "a", State.FAILED, Draft("failed", {"cause": "worn out"}), reason=Reason.OWN_FAULT, detail="worn out")
    output = tmp_path / "logs" / "a" / "attempts" / "1" / "output"
    output.mkdir(parents=True)
    (output / "head.txt").write_text("first\n\x1b[31mlast\n")
    (tmp_path / "logs" / "a" / "failure.json").write_text('{"v": 1, "cause": "worn out", "hint": "rest"}')
    tables.print_job(ask("show", job_id="a"))
    for told in ("FAILED (own_fault)", "why       worn out", "to do     rest", "seed=3", "  first\n  \\x1b[31mlast\n",
                 "accepted", "failed: worn out", str(tmp_path / "logs" / "a")):
        assert told in drawn()


@pytest.mark.parametrize(("prepare", "waits"), [
    (lambda store: None, "for a free device and its turn"), (lambda store: run(store, "a"), None)])
def test_show_tells_what_a_job_waits_for(store, ask, prepare, waits):
    add(store, "a")
    prepare(store)
    assert facts(ask("show", job_id="a")).get("waits") == waits


def test_show_tells_what_keeps_the_service_from_starting_a_job(store, tmp_path):
    desk = Desk(store, tmp_path, dict, lambda: "only 20 MiB are free; make room", lambda: None)
    for job in ("a", "b"):
        add(store, job)
    run(store, "b")
    told = {job: facts(as_told(desk.answer({"verb": "show", "job_id": job}))).get("waits") for job in ("a", "b")}
    assert told == {"a": "for the service, which starts nothing now: only 20 MiB are free; make room", "b": None}


def test_the_status_tells_why_it_is_not_ready(store, ask, drawn):
    add(store, "a")
    tables.print_status(ask("status"))
    assert "ready     no: no broker" in drawn()
    assert "1 queued" in drawn()


@pytest.mark.parametrize(("share", "bar"), [
    (0.0, "░░░░░░░░░░   0%"), (0.999, "█████████░  99%"), (1.0, "██████████ 100%")])
def test_a_bar_is_full_only_at_the_end(share, bar):
    assert share_bar({"share": share}) == bar
    assert share_bar({"share": None}) == share_bar(None) == ""


def test_a_wish_to_cancel_shows():
    job = {"reason": None, "detail": "", "state": "STOPPING", "cancel_asked": True}
    assert why(job) == "cancel asked"


def test_rows_of_any_length_fit_a_narrow_screen(store, ask):
    add(store, "x" * 64)
    screen = Console(file=io.StringIO(), width=60)
    screen.print(job_table(ask("list")))
    assert max(map(len, screen.file.getvalue().splitlines())) <= 60
