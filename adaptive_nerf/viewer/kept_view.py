"""Where a person stood last, kept by their browser: the page's server may go and come back, and they stand there still.

viser's page goes back to its first view when it finds its server again, and tells nobody where it was before.
"""

from __future__ import annotations

import numpy as np
import viser

from adaptive_nerf.viewer.pilot import Pilot
from adaptive_nerf.viewer.viewpoints import View, link_query, view_of_link

KEEPING = "adaptive-nerf-view-"
PATIENCE_S, SAME_UNITS = 3.0, 0.05


class KeptView:
    """`start` is where everybody begins; who comes by a link begins elsewhere, and stays there."""

    def __init__(self, client: viser.ClientHandle, pilot: Pilot, start: View, job_id: str):
        self._client, self._pilot, self._start, self._key = client, pilot, start, KEEPING + job_id
        self._kept = self._seen = ""

    def restore(self) -> None:
        if not are_same(self._pilot.view(), self._start):
            return
        try:
            text = self._client.local_storage.get_item(self._key, timeout=PATIENCE_S)
        except (TimeoutError, RuntimeError):  # the browser keeps nothing, or has gone
            return
        view = view_of_link(text or "")
        if view is not None:
            self._kept = text or ""
            self._pilot.stand_at(view)

    def keep(self) -> None:
        """To be called again and again; a view is kept when it has stood still in between."""
        seen, before = link_query(self._pilot.view()), self._seen
        self._seen = seen
        if seen == before and seen != self._kept:
            self._kept = seen
            self._client.local_storage.set_item(self._key, seen)


def are_same(one: View, other: View) -> bool:
    return bool(np.abs(one.position - other.position).max() < SAME_UNITS
                and np.abs(one.look_at - other.look_at).max() < SAME_UNITS)
