"""What the service says of itself: to the probes, and to `jobs.py` over the socket."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

from adaptive_nerf.jobs.http import Health
from adaptive_nerf.jobs.line import LineState

if TYPE_CHECKING:
    from adaptive_nerf.jobs.service import Service

STALLED_S = 90.0


def health_of(service: Service) -> Health:
    line, silent_s = service.line, time.monotonic() - service.line.last_step_s
    stalled = time.monotonic() - service.beat_s > STALLED_S
    why = "the supervisor has not turned for a while" if stalled else (line.why or service.disk_low())
    connected = line.state is LineState.CONNECTED
    live = service.supervisor.live.values()
    return Health(
        live=not stalled, ready=connected and not why, why=why, connected=connected, last_poll_age_s=silent_s,
        disk_free_bytes=shutil.disk_usage(service.settings.logs).free, slots=len(service.supervisor.devices.slots),
        slots_held=len({name for item in list(live) for name in item.job.slots}),
        attempts_ended=dict(service.supervisor.ended), commit=service.commit)


def status_of(service: Service) -> dict[str, Any]:
    health = health_of(service)
    return {"pid": os.getpid(), "mediator_id": service.store.mediator_id, "topic": service.settings.topics.jobs,
            "broker": service.broker.address, "http": service.settings.http, "line": service.line.state,
            "why": health.why, "ready": health.ready,
            "slots": [slot.name for slot in service.supervisor.devices.slots]}
