"""Whether the broker answers: one line per change, from many reports of the library."""

import json
import logging

import pytest
from confluent_kafka import KafkaError

from adaptive_nerf.common.transport import Fenced, LoginRefused
from kafka_utils.link import LibraryLog, Link

DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
REFUSED = KafkaError(KafkaError._TRANSPORT, "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: "
                                            "Connection refused (after 0ms in state CONNECT)")
FENCED = KafkaError(KafkaError._FATAL, "Fatal error: Broker: Static consumer fenced by other consumer: Fatal consumer "
                                       "error: Broker: Static consumer fenced by other consumer")


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def link(clock):
    return Link({"bootstrap.servers": "localhost:9092", "sasl.mechanism": "PLAIN"}, clock)


def stats(state, idle_s):
    return json.dumps({"brokers": {"localhost:9092/1": {"state": state, "rxidle": int(idle_s * 1e6)}}})


def test_nothing_is_known_at_first(link):
    assert not link.connected
    assert link.last_error == "no answer yet from localhost:9092"


def test_an_outage_is_one_line_and_its_end_another(link, caplog):
    with caplog.at_level(logging.INFO):
        link.contact()
        for error in (DOWN, *[REFUSED, DOWN] * 100):
            link.on_error(error)
        assert not link.connected
        assert link.last_error == "no broker answers at localhost:9092 (connection refused)"
        link.on_stats(stats("UP", 0.1))
    assert link.connected
    assert link.last_error == ""
    assert [record.getMessage() for record in caplog.records] == [
        "the broker localhost:9092 answers", "the broker localhost:9092 is away, waiting for it: connection refused",
        "the broker localhost:9092 answers again"]


def test_one_lost_connection_of_several_is_no_outage(link):
    link.contact()
    link.on_error(REFUSED)
    assert link.connected


def test_a_connection_that_is_up_but_silent_is_none(link, clock):
    link.on_stats(stats("UP", 0.1))
    clock.now_s += 11
    link.on_stats(stats("UP", 11))
    assert not link.connected
    assert "silent for 11 s" in link.last_error
    assert link.since_last_contact_s() == pytest.approx(11)
    link.on_stats(stats("DOWN", 0.1))
    assert not link.connected


def test_a_refused_login_is_told_once_and_stays_readable(link):
    link.on_error(KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error"))
    refusal = link.take_login_refusal()
    assert isinstance(refusal, LoginRefused)
    assert str(refusal) == ("the broker localhost:9092 refused the login (SASL PLAIN): check sasl.username and "
                            "sasl.password in the file of --kafka-config")
    assert link.take_login_refusal() is None
    assert link.last_error == str(refusal)


def test_to_be_fenced_is_the_end(link):
    link.on_error(FENCED)
    assert isinstance(link.fatal, Fenced)
    assert str(link.fatal).endswith("static consumer fenced by other consumer")


def test_lines_of_the_library_that_we_say_better_are_for_debugging(caplog):
    with caplog.at_level(logging.INFO):
        LibraryLog().log(logging.ERROR, "%s [%s] %s", "FAIL", "client", "Connection refused")
        LibraryLog().log(logging.WARNING, "%s [%s] %s", "TERMINATE", "client", "something else")
    assert [record.getMessage() for record in caplog.records] == ["TERMINATE [client] something else"]
