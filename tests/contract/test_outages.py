"""A broker that goes away is waited for: nothing is lost, nothing comes twice, one line says so. Apache Kafka only."""

import logging
import threading

import pytest

from adaptive_nerf.common.transport import BrokerUnreachable, CommitFailed
from kafka_utils import consumer as consumer_module
from kafka_utils import link
from kafka_utils.topic_manager import reachable
from tests.support.kafka import unique
from tests.support.kafka_member import Member, Sender
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def running(real_kafka):
    """The shared node, running again whatever the test did to it."""
    yield real_kafka
    real_kafka.start()


@pytest.fixture
def pair(running):
    sender = Sender(running.address)
    topic = unique("jobs")
    sender.deliver(topic, b"first")
    member = Member(running.address, [topic], unique("group"))
    member.read(1)
    yield sender, member, topic
    sender.producer.close()
    member.consumer.close()


def test_a_kill_of_the_broker_under_load_loses_nothing_and_doubles_nothing(running, pair):
    sender, member, topic = pair
    values = [b"%d" % number for number in range(5000)]
    sender.send(topic, *values[:2500])
    running.kill()
    sender.send(topic, *values[2500:])
    assert sender.producer.flush(0.1) > 0
    running.start()
    sender.deliver(topic, within_s=60)
    assert member.read(5001, within_s=60) == [b"first", *values]
    member.commit()


def test_a_broker_that_is_away_is_no_error_and_each_change_is_said_once(running, pair, caplog, monkeypatch):
    _, member, _ = pair
    monkeypatch.setattr(consumer_module, "COMMIT_S", 0.5)
    with caplog.at_level(logging.INFO):
        running.stop()
        wait_until(lambda: member.take() or not member.consumer.connected, "it is noticed")
        with pytest.raises(CommitFailed):
            member.commit()
        assert "no broker answers at 127.0.0.1" in member.consumer.last_error
        with pytest.raises(BrokerUnreachable, match=r"no broker answers at \S+ \(connection refused\): start one"):
            reachable({"bootstrap.servers": running.address}, wait_s=0.5)
        running.start()
        wait_until(lambda: member.take() or member.consumer.connected, "it is back", within_s=60)
    assert member.consumer.last_error == ""
    said = [record.getMessage() for record in caplog.records if "broker" in record.getMessage()]
    changes = ["away" if "is away" in line else "back" for line in said if "is away" in line or "answers again" in line]
    assert changes[:2] == ["away", "back"]
    assert changes == ["away", "back"] * (len(changes) // 2)  # each change once, also when a start takes two tries
    assert len(said) <= 4


def test_a_broker_that_is_silent_is_not_connected(running, pair, monkeypatch):
    _, member, _ = pair
    monkeypatch.setattr(link, "SILENT_S", 4.0)
    running.freeze()
    try:
        wait_until(lambda: member.take() or not member.consumer.connected, "the silence is noticed")
        assert "silent" in member.consumer.last_error
    finally:
        running.thaw()
    wait_until(lambda: member.take() or member.consumer.connected, "it is back")
    member.commit()


def test_after_a_minute_of_silence_the_group_is_joined_anew(running, pair, monkeypatch):
    sender, member, topic = pair
    monkeypatch.setattr(consumer_module, "SILENT_S", 0.5)
    member.commit()
    running.stop()
    joined = member.consumer._inner
    wait_until(lambda: member.take() or member.consumer._inner is not joined, "a new membership")
    assert member.lost == member.given[:1]
    running.start()
    monkeypatch.undo()
    sender.deliver(topic, b"second")
    assert member.read(2, within_s=60) == [b"first", b"second"]


def test_a_reader_started_before_its_broker_waits_for_it(running):
    topic = unique("jobs")
    running.stop()
    reader = Member(running.address, [topic], unique("group"))
    assert reader.take() == []
    running.start()
    sender = Sender(running.address)
    sender.deliver(topic, b"first")
    assert reader.read(1, within_s=60) == [b"first"]
    sender.producer.close()
    reader.consumer.close()


def test_closing_while_the_broker_is_away_does_not_wait_for_it(running, pair, monkeypatch):
    _, member, _ = pair
    monkeypatch.setattr(consumer_module, "COMMIT_S", 0.2)
    running.stop()
    with pytest.raises(CommitFailed):
        member.commit()
    member.consumer.close()
    waits = [thread.name for thread in threading.enumerate() if thread.name == "kafka-close"]
    assert waits, "the library waits for 45 s, and we do not"
