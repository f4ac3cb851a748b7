"""Commands find the broker and the topic of the mediator that runs here, unless they are told others."""

from argparse import ArgumentParser

import pytest

from adaptive_nerf.client.way import TOPIC, add_broker, add_state, way_of
from adaptive_nerf.jobs.control import SOCKET, ControlServer


@pytest.fixture
def given(tmp_path):
    def parse(*flags: str):
        command = ArgumentParser()
        add_state(command)
        add_broker(command)
        return command.parse_args(["--state", str(tmp_path), *flags])
    return parse


@pytest.fixture
def mediator(tmp_path):
    server = ControlServer(tmp_path / SOCKET, lambda request: {"topic": "flood", "broker": "kafka:9093"})
    yield server
    server.close()


def test_what_the_mediator_here_serves_is_the_default(given, mediator):
    way = way_of(given())
    assert (way.topics.jobs, way.address) == ("flood", "kafka:9093")


def test_flags_rule_over_the_mediator_here(given, mediator):
    way = way_of(given("--topic", "fire", "--broker", "other:9092"))
    assert (way.topics.jobs, way.address) == ("fire", "other:9092")


def test_without_a_mediator_it_is_the_usual_place(given):
    way = way_of(given())
    assert (way.topics.jobs, way.address) == (TOPIC, "localhost:9092")
