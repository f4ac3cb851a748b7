"""The broker dies, freezes, or is not there yet: jobs go on, and what it acknowledged is neither lost nor run twice."""

import pytest

from tests.support.kafka import KafkaNode
from tests.support.waiting import wait_until
from tests.support.world import World, topic_for

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """A node that may be hurt; each test leaves it running."""
    with KafkaNode(tmp_path_factory.mktemp("kafka")) as node:
        yield node


@pytest.fixture
def fragile(kafka, tmp_path):
    world = World(tmp_path / "w", kafka.address, topic_for("fragile"))
    yield world, kafka
    world.close()
    kafka.start()


def test_a_broker_killed_under_load_costs_nothing(fragile):
    world, kafka = fragile
    mediator = world.start()
    world.ledger.send_many([f"before-{number}" for number in range(20)], "fake: sleep=0.1")
    world.ledger.send("across", "fake: until=back")
    world.wait_running("before-3")
    kafka.kill()
    world.ledger.send_many([f"while-{number}" for number in range(20)], "fake: sleep=0.1")
    kafka.start()
    world.ledger.send_many([f"after-{number}" for number in range(20)], "fake: sleep=0.1")
    world.let_go("back")
    report = world.must_be_clean(within_s=180)
    assert (report.jobs, report.runs) == (61, 61)
    assert mediator.alive()


def test_without_its_broker_jobs_end_cancels_work_and_events_wait(fragile):
    world, kafka = fragile
    mediator = world.start()
    world.ledger.send("ends", "fake: until=away")
    world.ledger.send("stops", "fake: hang=1")
    world.ledger.send("queued", "fake: sleep=0")
    world.wait_running("ends", "stops")
    world.wait_state("queued", "QUEUED")  # so that it has come, before nothing comes any more
    kafka.kill()
    world.let_go("away")
    mediator.ask(verb="cancel", job_id="stops")
    world.wait_state("stops", "CANCELLED")
    world.wait_state("ends", "SUCCEEDED")
    world.wait_state("queued", "SUCCEEDED")
    assert mediator.page("/livez")[0] == 200
    kafka.start()
    assert world.must_be_clean(within_s=120).runs == 3


def test_a_mediator_without_a_broker_says_so_and_begins_when_it_comes(fragile):
    world, kafka = fragile
    world.ledger.send("early", "fake: sleep=0")
    world.ledger.flush()
    kafka.stop()
    mediator = world.launch()
    wait_until(lambda: kafka.address in mediator.page("/readyz")[1].decode(), "it names the broker that it waits for")
    kafka.start()
    assert world.must_be_clean(within_s=120).runs == 1
    assert "Traceback" not in mediator.said()


def test_a_silent_broker_is_waited_for(fragile):
    """In small; the soak has 90 s of silence, longer than the group's session."""
    world, kafka = fragile
    mediator = world.start()
    world.ledger.send("across", "fake: sleep=12 steps=24")
    world.wait_running("across")
    kafka.freeze()
    try:
        world.ledger.send_many([f"while-{number}" for number in range(10)], "fake: sleep=0.1")
        wait_until(lambda: (mediator.job("across").get("progress") or {}).get("step", 0) >= 20, "the job goes on")
    finally:
        kafka.thaw()
    assert world.must_be_clean(within_s=120).runs == 11


def test_a_mediator_killed_while_its_broker_is_away_loses_nothing(fragile):
    world, kafka = fragile
    first = world.start()
    world.ledger.send_many(["a", "b"], "fake: until=taken-back fork=1")
    world.wait_running("a", "b")
    kafka.kill()
    first.kill()
    second = world.launch()
    wait_until(lambda: second.page("/livez")[0] == 200, "it runs without a broker")
    world.let_go("taken-back")
    world.wait_state("a", "SUCCEEDED")
    kafka.start()
    assert world.must_be_clean(within_s=120).runs == 2
