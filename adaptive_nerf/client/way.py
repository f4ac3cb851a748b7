"""The way to the service through the broker, and the flags that name it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptive_nerf.common.errors import AdaptiveNerfError, BadUsage
from adaptive_nerf.jobs.control import ask
from adaptive_nerf.jobs.settings import Topics
from kafka_utils import dev_broker
from kafka_utils.broker import EMBEDDED
from kafka_utils.settings import client_settings
from kafka_utils.topic_manager import reachable

REACH_S = 3.0
TOPIC = "nerfConfigs"


@dataclass(frozen=True)
class Way:
    topics: Topics
    address: str
    settings: Mapping[str, str]

    def check(self) -> None:
        reachable(self.settings, REACH_S)


def add_state(command: ArgumentParser, default: Path | str = Path(".state")) -> None:
    command.add_argument("--state", type=Path, default=default, metavar="DIR", help="state folder of the mediator")


def add_broker(command: ArgumentParser) -> None:
    command.add_argument("--topic", help=f"where the mediator takes its jobs from; without it what the one that runs "
                         f"with --state says, else {TOPIC}")
    command.add_argument("--broker", metavar="HOST:PORT", help="where Kafka is; without it what the mediator says "
                         "that runs with --state, else localhost:9092")
    command.add_argument("--kafka-config", type=Path, metavar="FILE", help="TLS and login, as properties or JSON")


def way_of(given: Namespace) -> Way:
    served = {} if given.topic and given.broker else status_of(given.state)
    address = _address(served.get("broker") if given.broker is None else given.broker, given.state)
    topics = Topics(given.topic or served.get("topic") or TOPIC)
    return Way(topics, address, client_settings(address, given.kafka_config))


def status_of(state: Path) -> dict[str, Any]:
    """What the mediator here says of itself; nothing where none runs, or none that we may ask."""
    try:
        return ask(state, {"verb": "status"})
    except AdaptiveNerfError:
        return {}


def _address(broker: str | None, state: Path) -> str:
    if broker != EMBEDDED:
        return dev_broker.default_broker(state) if broker is None else broker
    found = dev_broker.find(state)
    if found is None:
        raise BadUsage(f"no development broker runs with the state folder {state}; the mediator starts one: "
                       f"python3 mediator.py --broker {EMBEDDED} --state {state}")
    return found
