"""send_config.py and jobs.py as people call them, against a mediator that runs, and against none."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.support.evidence import dump
from tests.support.waiting import wait_until
from tests.support.world import CLONE, World, topic_for


class Person:
    """Types commands in the folder of a world."""

    def __init__(self, world):
        self.world = world
        (world.folder / "job.json").write_text(json.dumps({"op": "train", "data_path": "data/town"}))

    def start(self, script, *flags, **options):
        state = [] if "--state" in flags else ["--state", self.world.state]
        broker = ["--broker", self.world.broker, "--topic", self.world.topic]
        asks_broker = script == "send_config" or {"dead-letters", "--via-topic"} & set(flags)
        command = [sys.executable, CLONE / "scripts" / f"{script}.py", *flags, *state, *(broker if asks_broker else [])]
        return subprocess.Popen([str(part) for part in command], cwd=self.world.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "200"},
                                **options)

    def types(self, script, *flags):
        """(exit code, stdout, stderr)."""
        with self.start(script, *flags) as process:
            out, err = process.communicate(timeout=60)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def sends(self, label, *flags):
        """A job that the judge of the world need not know: its name says that it is ours."""
        return self.types("send_config", "--configPath", "job.json", "--set", f"dataset=fake: {label}", *flags)


@pytest.fixture(scope="module", params=["dev_broker", pytest.param("real_kafka", marks=pytest.mark.system)])
def service(request, tmp_path_factory):
    """A mediator for all tests of this file. The judge is not asked: he knows only what the ledger has sent."""
    broker = request.getfixturevalue(request.param)
    world = World(tmp_path_factory.mktemp("commands"), broker.address, topic_for("commands"))
    try:
        world.start()
        yield world
    finally:
        world.close()


@pytest.fixture
def person(service):
    return Person(service)


def test_success_means_that_the_mediator_has_it_and_stdout_is_the_name_alone(person, service):
    code, out, err = person.sends("sleep=0.1", "--set", "fps=3")
    assert code == 0, err
    job_id = out.strip()
    assert service.mediator.job(job_id)["spec"]["dataset"] == "fake: sleep=0.1"
    assert f"{job_id} accepted\n{job_id} warning: fps has no effect in train\n" in err


@pytest.mark.parametrize(("label", "code", "said"), [
    ("sleep=0.5 steps=4", 0, "is done, psnr 21"), ("exit=65", 65, "failed: told to end with 65"),
    ("exit=70 fail_attempts=1", 0, "attempt 1 failed: told to end with 70; tell the fake runner something else; "
     "the next one in 0 s")])
def test_a_job_is_followed_to_its_end_and_its_exit_code_is_ours(person, label, code, said):
    ended, _, err = person.sends(label, "--wait")
    assert ended == code, err
    assert said in err


def test_a_cancelled_job_ends_with_75(person):
    with person.start("send_config", "--configPath", "job.json", "--set", "dataset=fake: sleep=60 steps=60",
                      "--job_id", "to-cancel", "--wait") as following:
        person.world.wait_running("to-cancel")
        assert person.types("jobs", "cancel", "to-cancel")[:2] == (0, "to-cancel is being stopped\n")
        following.communicate(timeout=30)
    assert following.returncode == 75


def test_ctrl_c_only_stops_following(person, service):
    with person.start("send_config", "--configPath", "job.json", "--set", "dataset=fake: sleep=60", "--job_id",
                      "goes-on", "--wait") as following:
        service.wait_running("goes-on")
        wait_until(lambda: "runs on" in following.stderr.readline(), "it is said that it runs")
        following.send_signal(signal.SIGINT)
        said = following.communicate(timeout=30)[1]
    assert following.returncode == 130, said
    assert "no longer watching; goes-on goes on" in said
    assert service.mediator.state_of("goes-on") == "RUNNING"
    person.types("jobs", "cancel", "goes-on")


def test_the_same_job_again_runs_once_and_another_of_its_name_is_refused(person):
    assert person.sends("sleep=0.1", "--job_id", "one", "--wait")[0] == 0
    code, _, err = person.sends("sleep=0.1", "--job_id", "one", "--wait")
    assert (code, "was accepted before, and is SUCCEEDED" in err) == (0, True)
    code, _, err = person.sends("sleep=0.2", "--job_id", "one")
    assert code == 2
    assert "error: the service refuses one: job_id: names a job that exists already" in err


def test_what_only_the_mediator_can_see_is_refused_by_field(person):
    code, _, err = person.sends("sleep=0", "--set", "data_path=../..")
    assert code == 2
    assert ": data_path: leads outside of the folders that jobs may use" in err


def test_a_message_that_is_no_job_is_never_sent(person, service):
    before = len(dump(service.broker, service.topic))
    code, out, err = person.sends("sleep=0", "--set", "sead=3", "--set", "lr=x")
    assert (code, out) == (2, "")
    assert "  sead: unknown; did you mean seed?" in err
    assert len(dump(service.broker, service.topic)) == before


def test_list_show_and_logs_tell_the_same_story(person):
    person.sends("exit=65", "--job_id", "story", "--wait")
    listed = json.loads(person.types("jobs", "list", "--json", "--in", "failed", "--last", "1000")[1])
    assert "story" in [job["job_id"] for job in listed["jobs"]]
    assert "FAILED" in person.types("jobs", "list")[1]
    shown = person.types("jobs", "show", "story")[1]
    assert "told to end with 65" in shown
    assert "tell the fake runner something else" in shown
    assert person.types("jobs", "logs", "story")[1] == "attempt 1 of story\n"
    assert json.loads(person.types("jobs", "status", "--json")[1])["ready"] is True
    code, _, err = person.types("jobs", "show", "stroy")
    assert (code, "did you mean story?" in err) == (2, True)


def test_a_program_watches_line_by_line_until_it_has_seen_enough(person):
    person.sends("sleep=0", "--job_id", "seen", "--wait")
    with person.start("jobs", "watch", "--json", "--last", "1000") as watching:
        lines = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
    assert watching.returncode == 0, err
    assert all("seen" in [job["job_id"] for job in line["jobs"]] for line in lines)


def test_logs_are_followed_across_attempts_to_the_end(person):
    assert person.sends("until=followed exit=70 fail_attempts=1", "--job_id", "twice")[0] == 0
    with person.start("jobs", "logs", "-f", "twice") as following:
        assert following.stdout.readline() == "attempt 1 of twice\n"
        person.world.let_go("followed")
        out, err = following.communicate(timeout=60)
    assert (following.returncode, out) == (0, "attempt 2 of twice\n"), err
    assert "--- attempt 2" in err


def test_a_cancel_by_the_topic_reaches_a_job_that_is_still_to_come(person):
    code, out, _ = person.types("jobs", "cancel", "not-yet", "--via-topic")
    assert (code, "the next mediator there obeys" in out) == (0, True)
    told = json.loads(person.types("jobs", "cancel", "not-yet", "--via-topic", "--json")[1])
    assert (told["job_id"], told["state"]) == ("not-yet", None)
    wait_until(lambda: "to cancel not-yet" in person.world.mediator.said(), "the mediator has read the wish")
    code, _, err = person.sends("sleep=60", "--job_id", "not-yet", "--wait")
    assert code == 75, err


def test_a_retry_makes_a_new_job_of_one_that_failed(person):
    person.sends("exit=65", "--job_id", "again", "--wait")
    code, out, _ = person.types("jobs", "retry", "again")
    assert (code, out) == (0, "again has ended (FAILED), so a new job does the same: again-retry1\n")
    person.world.wait_state("again-retry1", "FAILED")


def test_a_dead_letter_is_listed_and_sent_again_as_it_was_or_corrected(person, service):
    service.ledger.send("letter", "\x1b[2J", sead=3)

    def letter():
        told = json.loads(person.types("jobs", "dead-letters", "--last", "50", "--json")[1])
        return next((one for one in told if '"letter"' in one["text"]), None)

    found = wait_until(letter, "the dead letter is told", every_s=0.5)
    assert (found["code"], found["field"], found["hint"]) == ("bad_spec", "/sead", "did you mean seed?")
    assert "\x1b" not in person.types("jobs", "dead-letters")[1]
    code, _, err = person.types("jobs", "dead-letters", "replay", found["place"])
    assert (code, "the service refuses letter: sead: unknown; did you mean seed?" in err) == (2, True), err
    code, _, err = person.types("jobs", "dead-letters", "replay", found["place"], "--set", "lr=x")
    assert (code, "the corrected message is no job" in err) == (2, True), err


def test_a_conflict_of_names_is_corrected_by_another_name(person, service):
    for label in ("sleep=0", "sleep=0.1"):
        person.sends(label, "--job_id", "conflict", "--wait")
    letters = json.loads(person.types("jobs", "dead-letters", "--last", "50", "--json")[1])
    place = next(one["place"] for one in letters if one["code"] == "job_id_conflict" and '"conflict"' in one["text"])
    code, out, err = person.types("jobs", "dead-letters", "replay", place, "--set", "job_id=settled", "--json")
    assert code == 0, err
    assert json.loads(out)["events"][0]["event"] == "accepted"
    service.wait_state("settled", "SUCCEEDED")


# --- without a mediator, or without a broker


@pytest.mark.parametrize("line", [["list"], ["show", "a"], ["retry", "a"], ["logs", "a"], ["status"]])
def test_without_a_mediator_one_line_tells_how_to_start_one(dev_world, line):
    code, out, err = Person(dev_world).types("jobs", *line)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: no mediator runs with the state folder ")
    assert "start one with: python3 mediator.py --state" in err


def test_the_state_folder_may_be_named_before_the_verb_and_behind_it(dev_world):
    for flags in (("--state", "elsewhere", "list"), ("list", "--state", "elsewhere")):
        code, _, err = Person(dev_world).types("jobs", *flags)
        assert (code, "no mediator runs with the state folder elsewhere" in err) == (1, True)


def test_without_a_mediator_a_cancel_can_still_be_left_in_the_topic(dev_world):
    code, _, err = Person(dev_world).types("jobs", "cancel", "a")
    assert (code, "--via-topic" in err) == (1, True)


def test_a_topic_that_nobody_serves_is_refused_before_anything_is_sent(dev_world):
    for flags in ([], ["--no-wait"]):
        code, out, err = Person(dev_world).sends("sleep=0", *flags)
        assert (code, out) == (1, "")
        assert f"no mediator has served {dev_world.topic} there yet" in err


def test_a_mediator_that_is_gone_is_said_and_the_message_waits_for_the_next(real_world):
    real_world.start().leave()
    person = Person(real_world)
    code, out, err = person.sends("sleep=0.1", "--timeout", "0.5")
    assert code == 1
    assert "but no mediator answered within 0.5 s: none runs here; start one with: python3 mediator.py" in err
    real_world.start()
    real_world.wait_state(out.strip(), "SUCCEEDED")


def test_a_broker_that_is_not_there_is_one_line(dev_world):
    dev_world.broker = "127.0.0.1:1"
    for script, flags in (("send_config", ("--configPath", "job.json")), ("jobs", ("dead-letters",))):
        code, out, err = Person(dev_world).types(script, *flags)
        assert (code, out, len(err.splitlines())) == (1, "", 1)
        assert err.startswith("error: no broker answers at 127.0.0.1:1 ")
