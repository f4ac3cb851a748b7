"""Every test of this folder runs on both brokers. What the development broker cannot do stands in KNOWN_LIMITS."""

import pytest

from tests.support.kafka import dev_broker, real_kafka, unique  # noqa: F401
from tests.support.kafka_member import Member, Sender

KNOWN_LIMITS = {
    "test_a_member_killed_and_restarted_reads_on_at_once": "static membership is not honoured",
    "test_a_fenced_member_is_told_so_and_cannot_commit": "static membership is not honoured",
    "test_a_paused_member_takes_nothing_and_keeps_its_place": "it settles a group in 3 s, the session here lasts 2",
    "test_the_members_of_a_group_are_told": "it cannot tell who is in a group",
    "test_no_group_comes_into_being": "it cannot tell which groups there are",
    "test_a_re_created_topic_has_another_incarnation": "topics cannot be deleted, and have no ids",
    "test_a_deleted_topic_is_gone_and_says_so": "topics cannot be deleted",
    "test_a_topic_gets_the_partitions_and_settings_asked_for": "topics come into being with four partitions",
    "test_a_record_too_large_for_its_topic_is_reported_and_the_rest_goes_on": "no topic has a limit of its own",
}


@pytest.fixture(params=[
    pytest.param("dev_broker", id="development"),
    pytest.param("real_kafka", id="real", marks=pytest.mark.system),
])
def broker(request):
    """Something with an `address`."""
    limit = KNOWN_LIMITS.get(request.node.originalname)
    if request.param == "dev_broker" and limit:
        pytest.skip(f"the development broker cannot: {limit}")
    return request.getfixturevalue(request.param)


@pytest.fixture
def topic():
    return unique("jobs")


@pytest.fixture
def member(broker, topic, request):
    """Makes members of a group of this test's own, and closes them."""
    made, group = [], unique("group")

    def make(**wishes):
        member = Member(broker.address, **{"topics": [topic], "group": group, **wishes})
        made.append(member)
        return member

    yield make
    for each in made:
        each.consumer.close()


@pytest.fixture
def sender(broker):
    sender = Sender(broker.address)
    yield sender
    sender.producer.close()
