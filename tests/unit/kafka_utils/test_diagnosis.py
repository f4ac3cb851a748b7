"""What the doctor says of the broker."""

import socket
import sys

from adaptive_nerf.common.findings import Finding
from kafka_utils import dev_broker
from kafka_utils.diagnosis import broker_finding


def test_a_broker_is_known_by_its_answer(tmp_path):
    broker = dev_broker.start(tmp_path)
    try:
        assert broker_finding("Kafka", broker.address, "do") == Finding(
            "Kafka", "ok", f"a broker answers at {broker.address}")
    finally:
        broker.stop()


def test_what_listens_and_is_no_broker_is_told_as_such(monkeypatch):
    monkeypatch.setattr("kafka_utils.diagnosis.WAIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        found = broker_finding("Kafka", address, "do")
    assert (found.state, found.remedy) == ("missing", "do")
    assert found.fact.startswith(f"something answers at {address}, but not as a broker would: ")


def test_a_machine_without_the_client_is_told_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kafka_utils.topic_manager", None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = broker_finding("Kafka", f"127.0.0.1:{listening.getsockname()[1]}", "do")
    assert (found.state, found.remedy) == ("wrong", "make setup")


def test_where_nothing_listens_the_remedy_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    assert broker_finding("Kafka", address, "do").remedy == "do"
