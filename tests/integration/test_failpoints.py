"""kill -9 of the mediator at every named place, on real Kafka: nothing lost, nothing run twice, nothing left behind."""

import pytest

from tests.support.failpoints import IN_RECOVERY, OFTEN, ONCE_A_BATCH, WHILE_STOPPING

pytestmark = pytest.mark.system


def die_at(world, failpoint, *flags):
    """A life that ends at the failpoint; what it was sent must pass there."""
    mediator = world.launch(*flags, failpoint=failpoint)
    assert mediator.wait_dead(60) == -9
    return mediator


def send_all_kinds(world):
    """Short and long, good and bad: enough that every failpoint is passed, and that something runs when it comes.
    The long one ends when it is let go."""
    world.ledger.send_many([f"short-{number}" for number in range(6)], "fake: sleep=0.1")
    world.ledger.send("long", "fake: until=taken-back steps=4 fork=2", priority=8)
    world.ledger.send("fails", "fake: exit=70 fail_attempts=1")
    world.ledger.send("bad", "fake: exit=65")
    world.ledger.send_bytes(b"{no json", None, "refused", codes=["not_json"])
    world.ledger.flush()


@pytest.mark.parametrize("failpoint", [*ONCE_A_BATCH, *OFTEN, *(f"{name}:4" for name in OFTEN)])
def test_killed_at(real_world, failpoint):
    send_all_kinds(real_world)
    die_at(real_world, failpoint)
    real_world.start()
    real_world.let_go("taken-back")
    assert real_world.must_be_clean().jobs == 9
    (start,) = [mark for mark in real_world.marks("long") if mark.word == "start"]
    never_begun = not (real_world.logs / "long" / "attempts" / "1" / "started.json").exists()  # counted, and no more
    assert start.attempt == 1 or never_begun


@pytest.mark.parametrize("failpoint", WHILE_STOPPING)
def test_killed_while_it_stops_a_job(real_world, failpoint):
    first = real_world.start(failpoint=failpoint)
    real_world.ledger.send_many(["a", "b"], "fake: hang=1 term_s=0.5 fork=2")
    real_world.wait_running("a", "b")
    real_world.wait_state("b", "RUNNING")
    first.ask_its_last(verb="cancel", job_id="a")
    assert first.wait_dead() == -9
    second = real_world.start()
    second.ask(verb="cancel", job_id="b")
    report = real_world.must_be_clean()
    assert {second.state_of("a"), second.state_of("b")} == {"CANCELLED"}
    assert report.runs == 2


@pytest.mark.parametrize("times", [1, 2])
def test_killed_while_it_takes_jobs_back(real_world, times):
    first = real_world.start()
    real_world.ledger.send_many(["a", "b"], "fake: until=taken-back fork=2")
    real_world.wait_running("a", "b")
    first.kill()
    die_at(real_world, f"{IN_RECOVERY}:{times}")
    real_world.start()
    real_world.let_go("taken-back")
    assert real_world.must_be_clean().runs == 2


def test_killed_five_times_while_forty_jobs_pass(real_world):
    """In small what the soak does with twenty deaths and 200 jobs."""
    real_world.start()
    for death in range(5):
        real_world.ledger.send_many([f"job-{death}-{number}" for number in range(8)], "fake: sleep=0.2 fork=1")
        real_world.ledger.flush()
        real_world.wait_running(f"job-{death}-0", within_s=60)
        real_world.mediator.kill()
        real_world.start()
    report = real_world.must_be_clean()
    assert (report.jobs, report.runs) == (40, 40)
