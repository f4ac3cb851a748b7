"""Records come at least once, in order, and an offset is committed only when we say so."""

import pytest

from adaptive_nerf.common.transport import BrokerError
from kafka_utils import consumer as consumer_module
from kafka_utils.topic_manager import ensure_topics
from tests.support.waiting import wait_until

NUMBERED = [b"%d" % number for number in range(20)]


def test_records_arrive_in_order_with_their_place(member, sender, topic):
    sender.deliver(topic, *NUMBERED)
    reader = member()
    assert reader.read(20) == NUMBERED
    assert [record.offset for record in reader.received] == list(range(20))
    assert {record.topic for record in reader.received} == {topic}
    assert {record.cluster for record in reader.received} == {place.cluster for place in reader.given}


def test_any_bytes_come_through_and_headers_are_not_looked_at(member, sender, topic):
    sender.send(topic, b"\x00\xff", headers={f"bomb{number}": "x" * 1000 for number in range(100)})
    sender.deliver(topic, b"")
    assert member().read(2) == [b"\x00\xff", b""]


def test_a_record_without_a_value_is_an_empty_one(member, broker, topic, sender):
    sender.deliver(topic, b"before")
    sender.producer._inner.produce(topic, value=None, key=b"key")
    sender.deliver(topic, b"after")
    assert member().read(3) == [b"before", b"", b"after"]


def test_what_was_not_committed_comes_again(member, sender, topic):
    sender.deliver(topic, *NUMBERED)
    first = member(name="same")
    first.read(20)
    first.consumer.close()
    assert member(name="same").read(20) == NUMBERED


def test_what_was_committed_does_not_come_again_and_its_mark_is_told(member, sender, topic):
    sender.deliver(topic, *NUMBERED)
    first = member()
    first.read(20)
    first.commit("mark of 20 letters !")
    first.consumer.close()
    sender.deliver(topic, b"new")
    second = member()
    assert second.read(1) == [b"new"]
    place = next(place for place in second.given if place.committed is not None)
    assert (place.committed, place.mark) == (20, "mark of 20 letters !")


def test_we_may_begin_elsewhere_than_at_the_committed_offset(member, sender, topic):
    sender.deliver(topic, *NUMBERED)
    assert member(start_at=lambda place: 15 if place.committed is None else None).read(5) == NUMBERED[15:]


def test_an_offset_that_is_not_there_any_more_means_the_oldest_record(member, sender, topic):
    sender.deliver(topic, *NUMBERED)
    assert member(start_at=lambda _: 1000).read(20) == NUMBERED


def test_what_arrives_during_a_commit_is_kept_in_order(member, sender, topic):
    sender.deliver(topic, *NUMBERED)
    reader = member().join()
    while len(reader.received) < 20:
        reader.received += reader.consumer.take(0.2, most=1)
        reader.commit()
    assert [record.value for record in reader.received] == NUMBERED


def test_a_commit_of_many_partitions_is_one_call(member, sender, broker):
    topics = [f"{name}-{id(sender)}" for name in ("jobs", "control")]
    for name in topics:
        sender.deliver(name, b"record")
    reader = member(topics=topics)
    reader.read(2)
    reader.commit("both")
    reader.consumer.commit({}, "nothing at all")
    reader.consumer.close()
    again = member(topics=topics)
    wait_until(lambda: again.take() or len({place.partition.topic for place in again.given}) == 2, "both are given")
    known = {place.partition.topic: (place.committed, place.mark) for place in again.given
             if place.committed is not None}
    assert known == dict.fromkeys(topics, (1, "both"))


def test_a_burst_of_10000_is_taken_once_and_in_order(member, sender, topic):
    values = [b"%d" % number for number in range(10_000)]
    sender.send(topic, *values)
    sender.deliver(topic)
    reader = member()
    assert reader.read(10_000) == values
    reader.commit()


def test_a_topic_is_read_that_comes_into_being_later(member, sender, topic, broker):
    reader = member()
    reader.take()
    ensure_topics({"bootstrap.servers": broker.address}, {topic: {}})
    sender.deliver(topic, b"late")
    assert reader.read(1) == [b"late"]


def test_a_paused_member_takes_nothing_and_keeps_its_place(member, sender, topic, monkeypatch):
    monkeypatch.setitem(consumer_module.SETTINGS, "session.timeout.ms", 2000)
    monkeypatch.setitem(consumer_module.SETTINGS, "heartbeat.interval.ms", 300)
    sender.deliver(topic, b"first")
    reader = member()
    reader.read(1)
    reader.consumer.pause()
    sender.deliver(topic, b"second")
    assert not any(reader.take(0.25) for _ in range(12))  # for longer than the session lasts without a heartbeat
    assert not reader.lost
    reader.consumer.resume()
    assert reader.read(2) == [b"first", b"second"]


def test_a_paused_member_stays_paused_when_partitions_are_given_to_it(member, sender, topic):
    sender.deliver(topic, b"first")
    reader = member()
    reader.consumer.pause()
    reader.join()
    assert not any(reader.take(0.1) for _ in range(5))
    reader.consumer.resume()
    assert reader.read(1) == [b"first"]


def test_callbacks_of_the_library_in_the_same_call_as_an_assignment_do_no_harm(member, sender, topic, monkeypatch):
    """A blocking call on the consumer, made in a callback, would abort the process at the next callback."""
    monkeypatch.setitem(consumer_module.SETTINGS, "statistics.interval.ms", 1)
    sender.deliver(topic, b"first")
    reader = member()
    assert reader.read(1) == [b"first"]
    reader.consumer.missing()
    reader.consumer.refresh()
    reader.commit()


def test_an_assignment_that_failed_is_made_again_and_nothing_is_skipped(member, sender, topic):
    sender.deliver(topic, *NUMBERED)
    failures = iter([True])

    def fails_once(_):
        if next(failures, False):
            raise BrokerError("the disk is full, say")

    reader = member(start_at=fails_once)
    with pytest.raises(BrokerError, match="disk is full"):
        wait_until(lambda: reader.take(5), "the failure")  # long enough for records to come in the same call
    assert reader.received == []
    assert reader.read(20, within_s=60) == NUMBERED


