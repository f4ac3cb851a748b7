"""viser, locked in: on a free loopback port, for our front door alone, and without a way to a public tunnel."""

from __future__ import annotations

import logging
import secrets
import warnings

import rich
import viser
from viser.infra import WebsockClientConnection

from adaptive_nerf.common.errors import Failure

LOOPBACK, FREE_PORT = "127.0.0.1", 0
DOOR_HEADER, ORIGIN_HEADER = "X-Adaptive-Nerf-Door", "X-Adaptive-Nerf-Origin"
NOT_ALLOWED = 1008  # of websockets
log = logging.getLogger(__name__)


class InnerServer(viser.ViserServer):
    """`door_headers` are what a websocket must bring: other users of this machine reach the loopback too."""

    def __init__(self) -> None:
        self.door_headers = {DOOR_HEADER: secrets.token_urlsafe(32)}
        rich.get_console().quiet = True  # it prints its loopback address, where nobody is let in
        # Between a browser's leaving and the end of its page there are words for nobody; that is no fault.
        warnings.filterwarnings("ignore", r"Queued a \w+ on a closed connection", UserWarning)
        logging.getLogger("websockets.server").setLevel(logging.WARNING)
        super().__init__(LOOPBACK, FREE_PORT, verbose=False)
        self._websock_server.on_client_connect(self._refuse_strangers)
        if self.get_host() != LOOPBACK:
            raise Failure(f"viser listens on {self.get_host()} instead of {LOOPBACK}; please report this")

    async def _refuse_strangers(self, connection: WebsockClientConnection) -> None:
        socket = self._websock_server._live_connections[connection.client_id]
        brought = socket.request.headers.get(DOOR_HEADER, "") if socket.request is not None else ""
        if not secrets.compare_digest(brought.encode(), self.door_headers[DOOR_HEADER].encode()):
            log.warning("a program of this machine came to the page by the back door; it was sent away")
            await socket.close(NOT_ALLOWED, "by the front door, please")

    def origin_of(self, client_id: int) -> str:
        """Under which address a browser has the page, as the front door heard it: behind a proxy it is another one than
        ours. Empty for programs that are no browsers, and for those that have gone."""
        socket = self._websock_server._live_connections.get(client_id)
        return str(socket.request.headers.get(ORIGIN_HEADER, "")) if socket is not None and socket.request else ""

    def request_share_url(self, verbose: bool = True) -> str | None:
        """Any browser may ask for a public tunnel; there is none."""
        log.warning("somebody asked for a public link to this page; there is none")
        return None

    def disconnect_share_url(self) -> None:
        pass
