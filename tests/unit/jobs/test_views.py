import json

import pytest

from adaptive_nerf.common.errors import BadInput
from adaptive_nerf.jobs.records import Draft
from adaptive_nerf.jobs.states import Reason, State
from adaptive_nerf.jobs.views import Desk, UnknownJob
from tests.support.jobs import add, as_told, end, now, run, write_url

SECRET = "http://127.0.0.1:7070/?token=hunter2"


@pytest.fixture
def woken():
    return []


@pytest.fixture
def desk(store, tmp_path, woken):
    return Desk(store, tmp_path / "logs", lambda: {"topic": "nerfConfigs"}, str, lambda: woken.append(True))


@pytest.fixture
def ask(desk):
    return lambda verb, **more: as_told(desk.answer({"verb": verb, **more}))


def test_a_list_tells_what_a_person_looks_for(store, ask):
    add(store, "a", priority=7)
    run(store, "a", ("GPU-1",), progress={"step": 30, "of": 120, "eta_s": 90.0, "metrics": {}}, url="http://h:1/")
    (line,) = ask("list")["jobs"]
    assert (line["job_id"], line["op"], line["state"], line["attempt"]) == ("a", "train", "RUNNING", 1)
    assert (line["progress"]["share"], line["progress"]["eta_s"], line["device"]) == (0.25, 90.0, ["GPU-1"])
    assert line["running_s"] >= 0
    assert line["age_s"] >= 0


def test_the_newest_jobs_come_last_and_all_are_counted(store, ask):
    for number in range(5):
        add(store, f"job-{number}")
    told = ask("list", limit=2)
    assert [line["job_id"] for line in told["jobs"]] == ["job-3", "job-4"]
    assert told["counts"] == {"QUEUED": 5}


def test_states_are_chosen_by_name_in_any_case(store, ask):
    add(store, "a")
    add(store, "b")
    run(store, "b")
    assert [line["job_id"] for line in ask("list", states=["running", "FAILED"])["jobs"]] == ["b"]


@pytest.mark.parametrize("request_", [
    {}, {"verb": "destroy"}, {"verb": ["list"]}, {"verb": "list", "states": ["ALIVE"]}, {"verb": "list", "states": "X"},
    {"verb": "list", "states": [1]}, {"verb": "list", "limit": 0}, {"verb": "list", "limit": True},
    {"verb": "list", "limit": 10**9}, {"verb": "show"}, {"verb": "cancel", "job_id": 7},
    {"verb": "retry", "job_id": ""}])
def test_a_request_that_makes_no_sense_is_refused(desk, request_):
    with pytest.raises(BadInput):
        desk.answer(request_)


def test_the_nearest_name_is_a_hint(store, ask):
    add(store, "town-train-1")
    with pytest.raises(UnknownJob, match="did you mean town-train-1"):
        ask("show", job_id="town-trian-1")
    with pytest.raises(UnknownJob, match=r"jobs\.py list"):
        ask("show", job_id="zzz")


def test_show_tells_the_message_the_history_and_the_folder(store, ask, tmp_path):
    add(store, "a", seed=3, fps=24)
    told = ask("show", job_id="a")
    assert told["spec"] == {"op": "train", "data_path": "data/town", "job_id": "a", "seed": 3, "fps": 24}
    assert [event["event"] for event in told["history"]] == ["accepted", "warning", "queued"]
    assert told["log_dir"] == str(tmp_path / "logs" / "a")


def test_the_token_of_a_viewer_is_told_by_show_alone(store, ask, tmp_path):
    add(store, "a", op="view")
    run(store, "a", ("light-0",), progress={"step": 1, "url": SECRET}, url=SECRET)
    write_url(tmp_path / "logs", "a", SECRET + "\n")
    told = ask("show", job_id="a")
    assert told.pop("viewer_url") == SECRET
    told.pop("history")
    assert "hunter2" not in json.dumps([told, ask("list")])
    end(store, "a", State.SUCCEEDED)
    assert ask("show", job_id="a")["viewer_url"] is None  # nobody listens there any more


def test_a_cancel_is_stored_and_the_service_woken(store, ask, woken):
    add(store, "waits")
    add(store, "runs")
    run(store, "runs")
    assert ask("cancel", job_id="waits")["told"] == "waits is cancelled"
    assert ask("cancel", job_id="runs")["told"] == "runs is being stopped"
    assert now(store, "runs").cancel_asked
    assert len(woken) == 2
    assert ask("cancel", job_id="waits")["told"] == "waits has ended already: CANCELLED"


def test_a_cancel_before_the_job_is_kept_for_it(store, ask):
    add(store, "later-1")
    told = ask("cancel", job_id="later-2")
    assert (told["state"], told["near"]) == (None, ["later-1"])
    assert "if one arrives, it is cancelled at once" in told["told"]
    assert add(store, "later-2").state is State.CANCELLED


def test_a_cancel_before_the_job_can_be_taken_back(store, ask):
    ask("cancel", job_id="later")
    assert ask("retry", job_id="later")["told"] == "later is not cancelled any more when it comes"
    assert add(store, "later").state is State.QUEUED
    assert "nothing to retry" in ask("retry", job_id="later")["told"]


@pytest.mark.parametrize("name", ["../x", "a b", "-a", "x" * 65])
def test_a_cancel_for_a_name_that_no_job_can_have_is_refused_and_not_kept(ask, name):
    with pytest.raises(BadInput, match="is no name of a job; give 1 to 64 letters"):
        ask("cancel", job_id=name)


def test_a_retry_makes_a_new_job_of_one_that_has_ended(store, ask, woken):
    add(store, "a")
    run(store, "a")
    assert ask("retry", job_id="a")["told"] == "a is RUNNING; nothing to retry"
    end(store, "a", State.FAILED, Draft("failed"), reason=Reason.OWN_FAULT)
    told = ask("retry", job_id="a")
    assert (told["job_id"], told["state"]) == ("a-retry1", "QUEUED")
    assert now(store, "a").state is State.FAILED
    run(store, "a-retry1")
    assert ask("retry", job_id="a")["told"] == (
        "a has ended (FAILED), and a-retry1, which does the same, is RUNNING")
    assert woken
    with pytest.raises(UnknownJob):
        ask("retry", job_id="nobody")


def test_a_retry_ends_a_wait(store, ask):
    add(store, "a")
    run(store, "a")
    end(store, "a", State.RETRY_WAIT, Draft("retry"), reason=Reason.LOST, not_before_steady_s=1e9)
    assert ask("show", job_id="a")["retry_in_s"] > 1e6
    assert "waits no longer" in ask("retry", job_id="a")["told"]
    assert ask("show", job_id="a")["retry_in_s"] == 0


def test_the_status_is_of_the_service_and_of_its_store(store, ask):
    add(store, "a")
    assert ask("status") == {"counts": {"QUEUED": 1}, "backlog": 1, "outbox": 2, "topic": "nerfConfigs"}
