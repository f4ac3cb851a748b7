"""Topics: made when they are not there, told apart from later ones of the same name."""

import pytest
from confluent_kafka.admin import ConfigResource

from kafka_utils.topic_manager import administrator, cluster_id, ensure_topics, reachable, topic_ids
from tests.support.waiting import wait_until


@pytest.fixture
def settings(broker):
    return {"bootstrap.servers": broker.address}


def test_topics_are_made_once_and_then_left_alone(settings, topic):
    for _ in range(2):
        ensure_topics(settings, {topic: {}, f"{topic}.control": {}})
    assert set(topic_ids(settings, [topic, f"{topic}.control"])) == {topic, f"{topic}.control"}


def test_a_topic_gets_the_partitions_and_settings_asked_for(settings, topic):
    ensure_topics(settings, {topic: {"max.message.bytes": "2097152"}}, partitions=3)
    admin = administrator(settings)
    wait_until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3, "three partitions")
    wanted = ConfigResource(ConfigResource.Type.TOPIC, topic)
    assert admin.describe_configs([wanted])[wanted].result(10)["max.message.bytes"].value == "2097152"


def test_a_cluster_has_one_id_for_everybody(settings, member, sender, topic):
    sender.deliver(topic, b"first")
    reader = member()
    reader.read(1)
    assert reader.received[0].cluster == cluster_id(settings)


def test_a_broker_that_answers_is_reachable(settings):
    reachable(settings)


def re_create(settings, topic):
    admin = administrator(settings)
    admin.delete_topics([topic])[topic].result(10)
    wait_until(lambda: topic not in topic_ids(settings, [topic]), "the topic is gone")
    ensure_topics(settings, {topic: {}})
    wait_until(lambda: topic in topic_ids(settings, [topic]), "the topic is there again")


def test_a_re_created_topic_has_another_incarnation(settings, member, sender, topic):
    sender.deliver(topic, b"old")
    reader = member()
    reader.read(1)
    reader.commit()
    before = reader.consumer.refresh()
    assert before == reader.given
    re_create(settings, topic)
    (now,) = reader.consumer.refresh()
    assert now.partition == before[0].partition
    assert now.incarnation != before[0].incarnation
    sender.deliver(topic, b"new")
    reader.consumer.close()
    again = member()
    assert again.read(1) == [b"new"]
    assert again.given[0].incarnation == now.incarnation
    assert again.given[0].committed is None


def test_a_deleted_topic_is_gone_and_says_so(settings, member, sender, topic):
    sender.deliver(topic, b"old")
    reader = member()
    reader.read(1)
    admin = administrator(settings)
    admin.delete_topics([topic])[topic].result(10)
    wait_until(lambda: [place.incarnation for place in reader.consumer.refresh()] in (["gone"], []), "it is gone")
