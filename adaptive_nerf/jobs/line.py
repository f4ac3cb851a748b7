"""The line to the broker: waits for it, connects, rebuilds after trouble, and holds back while we are fenced.

The service starts whether or not the broker is up, and a broker that goes away stops nothing but new messages.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.transport import (
    Assigned,
    Broker,
    BrokerError,
    BrokerUnreachable,
    Fenced,
    LoginRefused,
    MessageSource,
)
from adaptive_nerf.jobs.intake import Intake, TopicReplaced
from adaptive_nerf.jobs.store import Store, StoreFull

log = logging.getLogger(__name__)
CHECK_S, RETRY_S, FENCED_RETRY_S, SILENT_S = 3.0, 1.0, 5.0, 60.0
FENCES_FORGOTTEN_S, LONGEST_FENCE_S = 600.0, 600.0


class GroupTaken(Failure):
    """Another mediator is at work in our group: two of them would share the topic, and each would miss jobs."""


class LineState(StrEnum):
    WAITING = "waiting for the broker"
    CONNECTED = "connected"
    FENCED = "fenced: another member has our place in the group"


class Line:
    """`step` is one round of the intake thread. It blocks for parts of a second; `pause` sets how long to wait next."""

    def __init__(self, broker: Broker, intake: Intake, store: Store, group_id: str, held_back: Callable[[], str]):
        self.broker, self.intake, self.store, self.group_id = broker, intake, store, group_id
        self.held_back = held_back
        self.state, self.why = LineState.WAITING, f"{broker.address} has not answered yet"
        self.last_step_s = time.monotonic()  # the last that went well, while connected
        self.source: MessageSource | None = None
        self._client_id = ""
        self._paused = ""
        self._was_connected = False
        self._fenced_until_s, self._fence_s = 0.0, 0.0

    def step(self) -> float:
        """Returns for how many seconds to rest before the next."""
        try:
            if time.monotonic() < self._fenced_until_s:
                return FENCED_RETRY_S
            source = self.source or self._connect()
            if source is None:
                return FENCED_RETRY_S
            self._note_connection(source)
            self._hold_back(source)
            self.intake.step(source)
            self.last_step_s = time.monotonic()
            if self.state is LineState.CONNECTED:
                self.why = ""  # a trouble that has passed
            return 0.0
        except TopicReplaced as error:
            self._rebuild(str(error))
        except Fenced as error:
            self._fence(str(error))
        except StoreFull as error:
            self._say(f"the disk is full: no messages are taken until there is room ({error})")
        except (BrokerUnreachable, LoginRefused) as error:
            self._say(str(error))
        except BrokerError as error:
            self._say(str(error))
            if time.monotonic() - self.last_step_s > SILENT_S:
                self._rebuild("a minute without a word from the broker")
        return RETRY_S

    def close(self) -> None:
        if self.source is not None:
            self.source.close()
            self.source = None

    def _connect(self) -> MessageSource | None:
        """None while another member has our place."""
        self.broker.check(CHECK_S)
        if strangers := self._strangers():
            if not self._was_connected:
                raise GroupTaken(
                    f"another mediator ({strangers}) is in the group {self.group_id}; stop it first, or give this one "
                    f"another --group_id. If it was killed, the broker forgets it within 45 s")
            self.state, self.why = LineState.FENCED, strangers
            return None
        self.broker.prepare([self.intake.topics.jobs, self.intake.topics.control, self.intake.topics.events,
                             self.intake.topics.dead_letters])
        self.source = self.broker.source([self.intake.topics.jobs, self.intake.topics.control], self.group_id,
                                         (self.intake.mediator_id, self.intake.new_connection()), self.intake.start_at,
                                         self._lost)
        self.state, self.why, self._was_connected = LineState.CONNECTED, "", True
        self.last_step_s = time.monotonic()
        log.info("connected to %s; reading %s", self.broker.address, self.intake.topics.jobs)
        return self.source

    def _strangers(self) -> str:
        """Members of our group that are neither us nor a former life of ours."""
        ours = set(self.intake.own_connections())
        return ", ".join(f"{member.instance_id or member.client_id} on {member.host}"
                         for member in self.broker.members(self.group_id)
                         if member.instance_id != self.intake.mediator_id or member.client_id not in ours)

    def _lost(self, places: Sequence[Assigned]) -> None:
        self.intake.lost(places)

    def _note_connection(self, source: MessageSource) -> None:
        """The source itself has said so in the log."""
        if source.connected and self.state is LineState.WAITING:
            self.state, self.why = LineState.CONNECTED, ""
        elif not source.connected:
            self.state, self.why = LineState.WAITING, source.last_error

    def _hold_back(self, source: MessageSource) -> None:
        reason = self.held_back()
        if reason and not self._paused:
            source.pause()
            log.warning("no new messages are taken: %s", reason)
        if self._paused and not reason:
            source.resume()
            log.info("messages are taken again")
        self._paused = reason

    def _fence(self, why: str) -> None:
        """Somebody took our place under our own name; the broker cannot tell us when he has left. So we stay away, for
        longer each time: two with one name would take the place from each other for ever."""
        again = time.monotonic() - self._fenced_until_s < FENCES_FORGOTTEN_S and self._fence_s > 0
        self._fence_s = min(LONGEST_FENCE_S, 2 * self._fence_s) if again else FENCED_RETRY_S
        self._fenced_until_s = time.monotonic() + self._fence_s * random.uniform(1.0, 1.5)
        if again:
            why += f"; again: is there a second mediator with a copy of {self.store.path.parent}?"
        log.error("fenced, nothing is taken or started for %.0f s: %s", self._fence_s, why)
        if self.source is not None:
            self.intake.fenced(self.source.assigned())
        self._rebuild(why)
        self.state, self.why = LineState.FENCED, why

    def _rebuild(self, why: str) -> None:
        log.warning("the connection to %s is made anew: %s", self.broker.address, why)
        self.close()
        self.intake.forget()
        self._paused = ""
        self.state, self.why = LineState.WAITING, why

    def _say(self, line: str) -> None:
        """Each trouble once, not once a second."""
        if line != self.why:
            log.warning("%s", line)
            self.why = line
