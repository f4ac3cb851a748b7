"""What becomes of records without a broker: whether another try is of use, and what a broken producer does."""

import pytest
from confluent_kafka import KafkaError

from kafka_utils.producer import Producer, _undelivered


@pytest.mark.parametrize(("code", "never"), [
    (KafkaError.MSG_SIZE_TOO_LARGE, True), (KafkaError.INVALID_RECORD, True),
    (KafkaError.TOPIC_AUTHORIZATION_FAILED, False), (KafkaError.UNKNOWN_TOPIC_OR_PART, False),
    (KafkaError._PURGE_QUEUE, False)])
def test_only_the_fault_of_a_record_itself_is_for_ever(code, never):
    assert _undelivered(KafkaError(code)).never is never


def test_a_producer_that_cannot_go_on_is_made_anew_while_answers_are_waited_for():
    producer, answers = Producer({"bootstrap.servers": "127.0.0.1:1"}, "sender"), []
    producer.submit("topic", None, b"value", {}, answers.append)
    producer._on_error(KafkaError(KafkaError._FATAL, "out of order", fatal=True))
    producer.poll(0.1)
    assert [answer.never for answer in answers] == [False]  # its sender sends it again
    producer.close()
