"""The client library's errors in words that a person reads."""

import pytest
from confluent_kafka import KafkaError

from kafka_utils.errors import no_answer, plain


@pytest.mark.parametrize(("code", "text", "shown"), [
    (KafkaError._TRANSPORT, "127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused "
                            "(after 0ms in state CONNECT)", "connection refused"),
    (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "consumerGroupDescribe: ",
     "consumerGroupDescribe: Coordinator load in progress"),
    (KafkaError.TOPIC_AUTHORIZATION_FAILED, "Broker: Topic authorization failed", "topic authorization failed")])
def test_an_error_is_told_without_names_of_threads_and_never_without_its_reason(code, text, shown):
    assert plain(KafkaError(code, text)) == shown


@pytest.mark.parametrize("question", ["", ": connecting to a PLAINTEXT broker listener?"])
def test_a_broker_that_hangs_up_on_tls_is_said_so_in_whatever_words_the_library_has(question):
    why = plain(KafkaError(KafkaError._TRANSPORT, "ssl://127.0.0.1:9092/bootstrap: Disconnected: SSL connection closed "
                                                  f"by peer{question} (after 0ms in state SSL_HANDSHAKE)"))
    assert "does not speak TLS" in str(no_answer({"bootstrap.servers": "127.0.0.1:9092"}, why, hung_up=True))
