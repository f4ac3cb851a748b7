"""One place in a group belongs to one member; whoever is pushed out of it is told, and can commit nothing more."""

import subprocess
import sys

import pytest

from adaptive_nerf.common.transport import Fenced, Partition
from kafka_utils.topic_manager import ensure_topics, live_members
from tests.support.kafka import unique
from tests.support.waiting import wait_until

READER = """
import sys
from tests.support.kafka_member import Member
reader = Member(sys.argv[1], [sys.argv[2]], sys.argv[3]).join()
print("joined", flush=True)
while True:
    reader.take()
"""


def test_a_member_killed_and_restarted_reads_on_at_once(member, sender, broker, topic, clone):
    sender.deliver(topic, b"first")
    group = unique("group")
    with subprocess.Popen([sys.executable, "-c", READER, broker.address, topic, group], cwd=clone,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"joined\n"
        process.kill()
    reader = member(group=group)
    assert reader.read(1, within_s=20) == [b"first"]  # its session would last for 45 s


def test_a_fenced_member_is_told_so_and_cannot_commit(member, sender, topic):
    sender.deliver(topic, b"first")
    old = member()
    old.read(1)
    new = member()
    new.read(1)
    with pytest.raises(Fenced, match="another member took our place"):
        old.commit()
    with pytest.raises(Fenced, match="another member took our place"):
        wait_until(old.take, "the old member is told")
    new.commit()


def test_partitions_that_another_member_holds_are_missing(member, broker, topic):
    ensure_topics({"bootstrap.servers": broker.address}, {topic: {}}, partitions=2)
    one = member(name="one")
    assert one.consumer.missing() == []  # the group has not settled yet
    one.join()
    everything = {place.partition for place in one.consumer.assigned()}
    assert one.consumer.missing() == []
    two = member(name="two")
    wait_until(lambda: one.take() or two.take() or (one.consumer.assigned() and two.consumer.assigned()),
               "both have partitions", every_s=0)
    held = {place.partition for place in two.consumer.assigned()}
    assert set(one.consumer.missing()) == held == everything - {place.partition for place in one.consumer.assigned()}
    assert {place.partition for place in one.lost} == held


def test_the_members_of_a_group_are_told(member, broker, topic):
    group, settings = unique("group"), {"bootstrap.servers": broker.address}
    ensure_topics(settings, {topic: {}})
    assert live_members(settings, group) == []
    member(group=group, name="stable").join()
    (found,) = live_members(settings, group)
    assert (found.instance_id, found.client_id) == ("stable", "stable-client")
    assert "127.0.0.1" in found.host


def test_what_was_committed_in_part_goes_on_from_there(member, sender, topic):
    sender.deliver(topic, b"first", b"second")
    reader = member()
    reader.read(2)
    place = reader.received[0]
    reader.consumer.commit({Partition(topic, place.partition): 1}, "half")
    reader.consumer.close()
    again = member()
    assert again.read(1) == [b"second"]
