"""What the broker, or another program, may do to the order of things: repeats, re-creations, rivals, silence."""

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


def admin(world):
    return AdminClient({"bootstrap.servers": world.broker, "log_level": 0})


def in_our_place(world, session_s=45):
    """A member that takes the place of our mediator in the group, by its name. The caller closes it."""
    name = (world.state / "mediator_id").read_text().strip()
    stranger = Consumer({
        "bootstrap.servers": world.broker, "group.id": world.group, "group.instance.id": name, "client.id": "stranger",
        "enable.auto.commit": False, "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 1000 * session_s, "log_level": 0})
    stranger.subscribe([world.topic, f"{world.topic}.control"])
    wait_until(lambda: stranger.poll(0.2) or stranger.assignment(), "the stranger has our partitions", 60)
    return stranger


def rewind(world):
    """Set the group's positions to 0, as `kafka-consumer-groups --reset-offsets` does: with no word of who did it."""
    stranger = in_our_place(world, session_s=6)
    places = [TopicPartition(f"{world.topic}{suffix}", 0, 0) for suffix in ("", ".control")]
    assert not any(place.error for place in stranger.commit(offsets=places, asynchronous=False))
    stranger.close()


def recreate(world):
    client = admin(world)
    client.delete_topics([world.topic], operation_timeout=10)[world.topic].result(15)
    wait_until(lambda: world.topic not in client.list_topics(timeout=10).topics, "the topic is gone")

    def made():
        try:
            client.create_topics([NewTopic(world.topic, 1, 1)])[world.topic].result(15)
            return True
        except KafkaException:
            return False  # its deletion is still under way

    wait_until(made, "the topic is made again", every_s=0.2)


def test_a_group_rewound_to_the_beginning_runs_nothing_twice(real_world):
    first = real_world.start()
    real_world.ledger.send_many([f"job-{number}" for number in range(20)], "fake: sleep=0.02")
    real_world.ledger.send_bytes(b"{no json", None, "refused")
    real_world.ledger.send("failed", "fake: exit=65")
    real_world.ledger.send_bytes(b'{"op": "train", "data_path": "data/town", "dataset": "fake: sleep=0"}')
    real_world.wait_ended(22)
    first.ask(verb="retry", job_id="failed")
    real_world.wait_ended(23)
    assert first.leave() == 0
    rewind(real_world)
    second = real_world.start()
    real_world.ledger.send("after", "fake: sleep=0")
    real_world.wait_state("after", "SUCCEEDED")
    assert real_world.must_be_clean().runs == 24
    assert second.gauges()["jobs_SUCCEEDED"] == 22


def test_a_retry_asked_for_by_message_is_not_asked_again_by_its_redelivery(real_world):
    first = real_world.start()
    real_world.ledger.send("failed", "fake: exit=65")
    real_world.wait_ended(1)
    real_world.ledger.send_bytes(b'{"verb": "retry", "job_id": "failed"}', None, "wish",
                                 topic=f"{real_world.topic}.control")
    real_world.wait_ended(2)
    assert first.leave() == 0
    rewind(real_world)
    real_world.start()
    real_world.ledger.send("after", "fake: sleep=0")
    real_world.wait_state("after", "SUCCEEDED")
    assert real_world.must_be_clean().runs == 3


@pytest.mark.parametrize("more", [0, 10], ids=["shorter", "past the old position"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_jobs_of_a_topic_that_was_made_anew_are_new_jobs(real_world, running, more):
    first = real_world.start()
    real_world.ledger.send_many([f"old-{number}" for number in range(5)], "fake: sleep=0.02")
    real_world.wait_ended(5)
    if not running:
        first.leave()
    recreate(real_world)
    real_world.ledger.send_many([f"new-{number}" for number in range(2 + more)], "fake: sleep=0.02")
    real_world.ledger.flush()
    if not running:
        real_world.start()
    assert real_world.must_be_clean().runs == 7 + more


def test_a_second_mediator_of_the_group_is_refused(real_world, tmp_path):
    real_world.start()
    second = real_world.launch("--state", tmp_path / "other", "--logs", tmp_path / "other-logs", "--http", "off")
    assert second.wait_dead() == 1
    assert "another mediator" in second.said()
    assert real_world.group in second.said()
    assert "Traceback" not in second.said()
    real_world.lives.pop()
    real_world.ledger.send("still", "fake: sleep=0")
    real_world.must_be_clean()


def test_a_second_mediator_on_the_same_state_folder_is_refused(real_world):
    real_world.start()
    second = real_world.launch("--http", "off", "--group_id", "another")
    assert second.wait_dead() == 1
    assert f"another mediator works with {real_world.state}" in second.said()
    assert "Traceback" not in second.said()
    real_world.lives.pop()
    real_world.ledger.send("still", "fake: sleep=0")
    real_world.must_be_clean()


def test_a_mediator_fenced_by_a_stranger_starts_nothing_until_it_is_gone(real_world):
    mediator = real_world.start()
    real_world.ledger.send("before", "fake: sleep=0")
    real_world.wait_ended(1)
    stranger = in_our_place(real_world)
    try:
        real_world.ledger.send_many(["while-1", "while-2"], "fake: sleep=0")
        real_world.ledger.flush()

        def fenced():
            stranger.poll(0.2)
            return b"another member" in mediator.page("/readyz")[1]

        wait_until(fenced, "the mediator knows that it is fenced", 60)
        assert real_world.verdict(finished=False).runs == 1
    finally:
        stranger.close()
    assert real_world.must_be_clean(within_s=120).runs == 3


def test_jobs_go_on_while_the_mediator_is_stopped_and_are_taken_back_with_their_true_end(real_world):
    first = real_world.start()
    real_world.ledger.send("good", "fake: until=left")
    real_world.ledger.send("bad", "fake: until=left exit=65")
    real_world.wait_running("good", "bad")
    assert first.leave() == 0
    real_world.let_go("left")
    real_world.wait_over("good", "bad")
    second = real_world.start()
    assert real_world.must_be_clean().runs == 2
    assert (second.state_of("good"), second.job("bad")["code"]) == ("SUCCEEDED", 65)


def test_a_burst_is_accepted_whole(real_world):
    """A fifth of the bench's; nothing of it may start, for both slots are taken."""
    mediator = real_world.start()
    real_world.ledger.send_many(["block-1", "block-2"], "fake: hang=1")
    real_world.wait_running("block-1", "block-2")
    real_world.ledger.send_many([f"job-{number}" for number in range(2000)])
    real_world.ledger.flush()
    wait_until(lambda: mediator.gauges().get("jobs_QUEUED") == 2000, "all are accepted")
    wait_until(lambda: mediator.gauges().get("outbox_records") == 0, "all of it is told")
    assert real_world.must_be_clean(finished=False).jobs == 2002
