"""Whether the broker answers, from what the client library reports: one readable line per change, never a flood."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError

from adaptive_nerf.common.transport import BrokerError, LoginRefused
from kafka_utils.errors import address_of, plain, translated

log = logging.getLogger(__name__)
SILENT_S = 10.0  # heartbeats come every 3 s: a connection that was silent for longer is one in name only
# Lines of the library that repeat, several times a second, what the link says once or what we raise.
OURS_TO_SAY = {"FAIL", "ERROR", "DISCONNECT", "REQTMOUT", "CLSNT", "MAXPOLL", "SESSTMOUT", "FATAL", "GETPID", "MOCK",
               "CONFWARN"}


class LibraryLog:
    """Takes the library's lines (severity, "%s [%s] %s", facility, client, text) into our log."""

    def log(self, level: int, form: str, *words: Any) -> None:
        facility = str(words[0]) if words else ""
        log.log(logging.DEBUG if facility in OURS_TO_SAY else level, form, *words)


class Link:
    def __init__(self, settings: dict[str, str], clock: Callable[[], float] = time.monotonic):
        self.settings, self.clock = settings, clock
        self.connected = False
        self.last_error = f"no answer yet from {address_of(settings)}"
        self.fatal: BrokerError | None = None  # the client is of no use any more
        self._login: LoginRefused | None = None
        self._contact_s = clock()
        self._warned = False

    def since_last_contact_s(self) -> float:
        return self.clock() - self._contact_s

    def contact(self, idle_s: float = 0.0) -> None:
        """The broker was heard of, `idle_s` ago."""
        self._contact_s = max(self._contact_s, self.clock() - idle_s)
        if self.connected or idle_s > SILENT_S:
            return
        self.connected, self.last_error = True, ""
        log.info("the broker %s answers%s", address_of(self.settings), " again" if self._warned else "")
        self._warned = False

    def lose(self, why: str = "") -> None:
        """No connection. The reason often comes a moment later, as an error of its own."""
        self.connected = False
        self.last_error = f"no broker answers at {address_of(self.settings)}" + (f" ({why})" if why else "")
        if why and not self._warned:
            self._warned = True
            log.warning("the broker %s is away, waiting for it: %s", address_of(self.settings), why)

    def on_error(self, error: KafkaError) -> None:
        ours = translated(error, self.settings)
        if error.fatal() or error.code() == KafkaError._FATAL:
            self.fatal = ours
        elif isinstance(ours, LoginRefused):
            self._login, self.last_error = ours, str(ours)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            if self.connected:
                self.lose()
        elif not self.connected:
            self.lose(plain(error))

    def take_login_refusal(self) -> LoginRefused | None:
        refusal, self._login = self._login, None
        return refusal

    def on_stats(self, text: str) -> None:
        """Every second: which connections are up, and for how long each heard nothing."""
        brokers = json.loads(text).get("brokers", {}).values()
        idle_s = [broker["rxidle"] / 1e6 for broker in brokers if broker["state"] == "UP" and broker["rxidle"] >= 0]
        if idle_s:
            self.contact(min(idle_s))
        if self.connected and self.since_last_contact_s() > SILENT_S:
            self.lose(f"silent for {self.since_last_contact_s():.0f} s")
