"""What the service says of itself: to the probes, and to `jobs.py` over the socket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from adaptive_nerf.common import provenance
from adaptive_nerf.common.transport import Broker
from adaptive_nerf.jobs.disk import Disk
from adaptive_nerf.jobs.http import Health
from adaptive_nerf.jobs.line import Line, LineState
from adaptive_nerf.jobs.settings import Settings
from adaptive_nerf.jobs.supervisor import Supervisor

STALLED_S = 90.0


class Vitals:
    """Reads the service's parts whenever it is asked, from any thread; they know nothing of it."""

    def __init__(self, settings: Settings, broker: Broker, line: Line, supervisor: Supervisor,
                 disk: Disk, disk_low: Callable[[], str]):
        self._settings, self._broker, self._line, self._supervisor = settings, broker, line, supervisor
        self._disk, self._disk_low = disk, disk_low
        self._commit = provenance.commit() or ""
        self.beat()

    def beat(self) -> None:
        """The supervisor has turned."""
        self._beat_s = time.monotonic()

    def health(self) -> Health:
        line, silent_s = self._line, time.monotonic() - self._line.last_step_s
        stalled = time.monotonic() - self._beat_s > STALLED_S
        why = "the supervisor has not turned for a while" if stalled else (line.why or self._disk_low())
        connected = line.state is LineState.CONNECTED
        live, slots = self._supervisor.live.values(), self._supervisor.devices.slots
        return Health(
            live=not stalled, ready=connected and not why, why=why, connected=connected, last_poll_age_s=silent_s,
            disk_free_bytes=self._disk.free_bytes(), slots=len(slots),
            slots_held=len({slot.name for slot in slots} & {name for item in list(live) for name in item.job.slots}),
            attempts_ended=dict(self._supervisor.ended), commit=self._commit)

    def status(self) -> dict[str, Any]:
        health = self.health()
        return {"pid": os.getpid(), "mediator_id": self._supervisor.store.mediator_id,
                "topic": self._settings.topics.jobs, "broker": self._broker.address, "http": self._settings.http,
                "line": self._line.state, "why": health.why, "ready": health.ready,
                "slots": [slot.name for slot in self._supervisor.devices.slots]}
