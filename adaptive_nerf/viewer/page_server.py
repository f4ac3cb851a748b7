"""The page's server: viser behind the front door, and a page for everybody who comes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from socket import socket
from typing import Protocol

import viser

from adaptive_nerf.viewer.front_door import FrontDoor, Lock
from adaptive_nerf.viewer.inner_server import InnerServer
from adaptive_nerf.viewer.listening import address_for_people
from adaptive_nerf.viewer.overview import overview_of
from adaptive_nerf.viewer.relay import Relay
from adaptive_nerf.viewer.session_state import SessionState
from adaptive_nerf.viewer.viewpoints import UP

GOODBYE_S = 0.1  # until the last words have left
LEAVING_S = 10.0  # at most, for pages whose browsers went just now
log = logging.getLogger(__name__)


class ClosingPage(Protocol):
    def close(self) -> None: ...


MakePage = Callable[[viser.ClientHandle, SessionState, str, str], ClosingPage]


class PageServer:
    """`make_page(client, session, who, address)` is called for each browser; its page is closed when that leaves."""

    def __init__(self, listening: socket, host: str, key: str, session: SessionState, make_page: MakePage):
        self._session, self._make_page = session, make_page
        port = listening.getsockname()[1]
        self.address = address_for_people(host, port)
        self._lock = threading.Condition()  # of the three below
        self._pages: dict[int, ClosingPage] = {}
        self._here: set[int] = set()
        self._leaving = 0  # pages that are being closed because their browser has gone
        self._viser = InnerServer()
        self._begin_with_overview()
        self._viser.on_client_connect(self._came)
        self._viser.on_client_disconnect(self._left)
        relay = Relay(self._viser.get_port(), self._viser.door_headers, session.touch)
        self._door = FrontDoor(listening, Lock.of(key, host, port), relay)

    def _begin_with_overview(self) -> None:
        """Before its page is built, a browser stands where the whole scene is seen."""
        start, first = overview_of(self._session.backend.scene).start, self._viser.initial_camera
        first.position, first.look_at, first.up, first.fov = start.position, start.look_at, UP, start.fov_rad

    def _came(self, client: viser.ClientHandle) -> None:
        who = self._session.came(client.client_id)
        with self._lock:
            self._here.add(client.client_id)
        log.info("%s opened the page", who)
        address = self._viser.origin_of(client.client_id) or self.address
        try:
            page = self._make_page(client, self._session, who, address)
        except Exception:
            log.exception("the page of %s could not be built", who)
            client.add_notification("This page could not be built", "Load it again; the job's log tells why.",
                                    color="red", auto_close_seconds=None)
            return
        with self._lock:
            is_here = client.client_id in self._here
            if is_here:
                self._pages[client.client_id] = page
        if not is_here:  # gone already
            page.close()

    def _left(self, client: viser.ClientHandle) -> None:
        with self._lock:
            self._here.discard(client.client_id)
            page = self._pages.pop(client.client_id, None)
            self._leaving += page is not None
        log.info("%s left the page", self._session.name_of(client.client_id) or "somebody")
        if page is not None:
            try:
                page.close()
            finally:
                with self._lock:
                    self._leaving -= 1
                    self._lock.notify_all()
        self._session.left(client.client_id)

    def close(self, why: str = "") -> None:
        """Whoever looks is told why; then nothing of it is left."""
        for client in self._viser.get_clients().values():
            client.add_notification("This page has ended", f"{why} What you see stays, but nothing answers any more.",
                                    color="red", auto_close_seconds=None)
            client.flush()
        time.sleep(GOODBYE_S)
        self._door.close()
        with self._lock:
            pages, self._pages = list(self._pages.values()), {}
            self._here.clear()
        for page in pages:
            page.close()
        with self._lock:
            self._lock.wait_for(lambda: not self._leaving, LEAVING_S)
        self._viser.stop()
