"""One broker, as the service sees it: its address, its secrets, and what can be had of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.common.transport import Assigned, Member
from kafka_utils import dev_broker, topic_manager
from kafka_utils.consumer import Consumer
from kafka_utils.producer import Producer
from kafka_utils.settings import client_settings, redacted

log = logging.getLogger(__name__)
EMBEDDED = "embedded"
ASK_S = 10.0
LARGEST_DEAD_LETTER = 2 * 2**20  # a message of the largest size, and what we say about it


class KafkaBroker:
    def __init__(self, address: str, config_file: Path | None, embedded: dev_broker.DevBroker | None = None):
        self.address, self.settings, self._embedded = address, client_settings(address, config_file), embedded
        log.info("broker: %s", ", ".join(f"{key}={value}" for key, value in redacted(self.settings).items()))

    def check(self, wait_s: float) -> None:
        topic_manager.reachable(self.settings, wait_s)

    def prepare(self, topics: Sequence[str]) -> None:
        configs = {name: {"max.message.bytes": str(LARGEST_DEAD_LETTER)} if name.endswith(".dead-letters") else {}
                   for name in topics}
        topic_manager.ensure_topics(self.settings, configs, wait_s=ASK_S)

    def members(self, group_id: str) -> list[Member]:
        return topic_manager.live_members(self.settings, group_id, ASK_S)

    def source(self, topics: Sequence[str], group_id: str, names: tuple[str, str],
               start_at: Callable[[Assigned], int | None],
               on_lost: Callable[[Sequence[Assigned]], None]) -> Consumer:
        return Consumer(self.settings, topics, group_id, *names, start_at, on_lost)

    def sink(self, client_id: str) -> Producer:
        return Producer(self.settings, client_id)

    def close(self) -> None:
        if self._embedded:
            self._embedded.stop()


def broker_of(broker: str | None, state: Path, config_file: Path | None) -> KafkaBroker:
    """`embedded` starts one of our own; nothing at all means the one that was started here, else the usual address."""
    if broker != EMBEDDED:
        return KafkaBroker(dev_broker.default_broker(state) if broker is None else broker, config_file)
    if config_file is not None:
        raise BadUsage(f"--broker {EMBEDDED} wants neither TLS nor a login; leave --kafka-config {config_file} out, or "
                       f"name the broker that it is for")
    embedded = dev_broker.start(state)
    return KafkaBroker(embedded.address, None, embedded)
