"""The client library's errors in words that a person reads."""

import pytest
from confluent_kafka import KafkaError

from kafka_utils.errors import plain


@pytest.mark.parametrize(("code", "text", "shown"), [
    (KafkaError._TRANSPORT, "127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused "
                            "(after 0ms in state CONNECT)", "connection refused"),
    (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "consumerGroupDescribe: ",
     "consumerGroupDescribe: Coordinator load in progress"),
    (KafkaError.TOPIC_AUTHORIZATION_FAILED, "Broker: Topic authorization failed", "topic authorization failed")])
def test_an_error_is_told_without_names_of_threads_and_never_without_its_reason(code, text, shown):
    assert plain(KafkaError(code, text)) == shown
