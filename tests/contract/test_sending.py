"""Records are acknowledged, in order; one that cannot be sent is reported and does not stand in the way."""

import pytest
from confluent_kafka import KafkaError

from kafka_utils.topic_manager import ensure_topics
from tests.support.kafka_member import Sender
from tests.support.waiting import wait_until


def test_each_record_is_answered_once(sender, topic):
    sender.deliver(topic, *[b"%d" % number for number in range(1000)])
    assert sender.answers == [None] * 1000


def test_keys_and_headers_are_sent(sender, member, topic):
    sender.producer.submit(topic, b"job-7", b"value", {"error_code": "bad", "message": "ü"}, sender.answers.append)
    sender.deliver(topic)
    reader = member()
    message = wait_until(lambda: reader.consumer._inner.poll(0.1), "the record")
    while message.error():
        message = wait_until(lambda: reader.consumer._inner.poll(0.1), "the record")
    assert message.key() == b"job-7"
    assert dict(message.headers()) == {"error_code": b"bad", "message": "ü".encode()}


def test_a_record_too_large_for_any_broker_is_reported_and_the_rest_goes_on(sender, member, topic):
    sender.send(topic, b"before", b"x" * 17 * 2**20, b"after")
    wait_until(lambda: sender.producer.flush(0.5) == 0 and len(sender.answers) == 3, "three answers")
    assert sorted(answer or "" for answer in sender.answers)[:2] == ["", ""]
    assert any("too large" in (answer or "") for answer in sender.answers)
    assert member().read(2) == [b"before", b"after"]


def test_a_record_too_large_for_its_topic_is_reported_and_the_rest_goes_on(sender, member, topic, broker):
    ensure_topics({"bootstrap.servers": broker.address}, {topic: {"max.message.bytes": "10000"}})
    sender.deliver(topic, b"before")
    sender.send(topic, b"x" * 20_000)
    wait_until(lambda: sender.producer.flush(0.5) == 0, "an answer")
    sender.send(topic, b"after")
    wait_until(lambda: sender.producer.flush(0.5) == 0, "an answer")
    assert sender.answers[0] is None
    assert "too large" in sender.answers[1]
    assert sender.answers[2] is None
    assert member().read(2) == [b"before", b"after"]


def test_an_answer_may_use_the_producer_and_may_fail(sender, topic):
    said = []

    def fails(_):
        sender.producer.poll(0)
        raise OSError("the disk is full, say")

    sender.producer.submit(topic, b"key", b"one", {}, fails)
    sender.producer.submit(topic, b"key", b"two", {}, said.append)
    with pytest.raises(OSError, match="say"):
        wait_until(lambda: sender.producer.flush(1) < 0, "the first answer fails")  # however long the broker takes
    wait_until(lambda: sender.producer.flush(1) == 0 and said, "the second answer comes all the same")
    assert said == [None]


def test_a_producer_that_cannot_go_on_is_made_anew(sender, member, topic):
    sender.deliver(topic, b"first")
    broken = sender.producer._inner
    sender.producer._on_error(KafkaError(KafkaError._FATAL, "out of order", fatal=True))
    sender.deliver(topic, b"second")
    assert sender.producer._inner is not broken
    assert member().read(2) == [b"first", b"second"]


def test_what_is_queued_when_a_producer_closes_is_told_not_to_be_delivered(topic, broker):
    sender = Sender(broker.address, {"linger.ms": "60000"})  # the last records wait for company that never comes
    for _ in range(100):
        sender.send(topic, b"x" * 100_000)
    sender.producer.close()
    assert len(sender.answers) == 100
    assert any(sender.answers)
