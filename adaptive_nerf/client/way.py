"""The way to the service through the broker, and the flags that name it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.jobs.settings import Topics
from kafka_utils import dev_broker
from kafka_utils.broker import EMBEDDED
from kafka_utils.settings import client_settings
from kafka_utils.topic_manager import reachable

REACH_S = 3.0


@dataclass(frozen=True)
class Way:
    topics: Topics
    address: str
    settings: Mapping[str, str]

    def check(self) -> None:
        reachable(self.settings, REACH_S)


def add_state(command: ArgumentParser) -> None:
    command.add_argument("--state", type=Path, default=Path(".state"), metavar="DIR",
                         help="state folder of the mediator")


def add_broker(command: ArgumentParser) -> None:
    command.add_argument("--topic", default="nerfConfigs", help="where the mediator takes its jobs from")
    command.add_argument("--broker", metavar="HOST:PORT", help="without it the development broker that the mediator "
                         "started, else localhost:9092")
    command.add_argument("--kafka-config", type=Path, metavar="FILE", help="TLS and login, as properties or JSON")


def way_of(given: Namespace) -> Way:
    address = _address(given.broker, given.state)
    return Way(Topics(given.topic), address, client_settings(address, given.kafka_config))


def _address(broker: str | None, state: Path) -> str:
    if broker != EMBEDDED:
        return broker or dev_broker.default_broker(state)
    found = dev_broker.find(state)
    if found is None:
        raise BadUsage(f"no development broker runs with the state folder {state}; the mediator starts one: "
                       f"python mediator.py --broker {EMBEDDED} --state {state}")
    return found
