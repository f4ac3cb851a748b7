"""Reading a topic from the outside: what comes from now on, the newest, one place; in no group."""

import pytest

from kafka_utils.reader import SETTINGS, NoSuchTopic, Reader
from kafka_utils.topic_manager import administrator, ensure_topics
from tests.support.waiting import wait_until


@pytest.fixture
def reader(broker, topic):
    settings = {"bootstrap.servers": broker.address}
    ensure_topics(settings, {topic: {}})
    opened = []

    def open_again():
        opened.append(Reader(settings, topic))
        return opened[-1]

    yield open_again
    for each in opened:
        each.close()


def values(records):
    return [record.value for record in records]


def test_from_the_end_nothing_that_is_sent_afterwards_is_missed(reader, sender, topic):
    sender.deliver(topic, b"old")
    now = reader()
    now.from_end()
    sender.deliver(topic, *[b"%d" % number for number in range(50)])
    found = []
    wait_until(lambda: found.extend(values(now.take(0.2))) or len(found) >= 50, "all are read")
    assert sorted(found, key=int) == [b"%d" % number for number in range(50)]


def test_the_newest_come_oldest_first_with_key_headers_and_time(reader, sender, topic):
    for number in range(7):
        sender.producer.submit(topic, b"key", b"%d" % number, {"code": "bad"}, sender.answers.append)
        sender.deliver(topic)
    last = reader().last(3)
    assert values(last) == [b"4", b"5", b"6"]
    assert (last[0].key, last[0].headers) == (b"key", {"code": b"bad"})
    assert last[0].at_s > 1.7e9
    assert values(reader().last(100)) == [b"%d" % number for number in range(7)]


def test_an_empty_topic_has_no_newest(reader):
    assert reader().last(5) == []


def test_a_place_is_read_by_its_partition_and_offset(reader, sender, topic):
    sender.deliver(topic, b"a", b"b", b"c")
    places = {record.value: (record.partition, record.offset) for record in reader().last(9)}
    assert all(reader().at(*place).value == value for value, place in places.items())
    assert reader().at(0, 1000) is None
    assert reader().at(99, 0) is None


def test_a_topic_that_is_not_there_is_said_and_not_made(broker, topic):
    for _ in range(2):
        with pytest.raises(NoSuchTopic, match=f"has no topic {topic}"):
            Reader({"bootstrap.servers": broker.address}, topic)


def test_no_group_comes_into_being(reader, sender, topic, broker):
    sender.deliver(topic, b"a")
    one = reader()
    one.last(1)
    admin = administrator({"bootstrap.servers": broker.address})
    told = admin.list_consumer_groups().result(10)
    assert told.errors == []
    assert SETTINGS["group.id"] not in {group.group_id for group in told.valid}
