"""A server in a thread of its own: sleeps until somebody calls, has a few callers at most, ends at once."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from typing import Any

MOST_CALLERS = 16
log = logging.getLogger(__name__)


class FewCallers(socketserver.ThreadingMixIn):
    """A thread for each caller, and none for callers beyond the most: they are hung up on."""

    daemon_threads = True  # a caller that hangs must not keep the mediator from leaving
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_CALLERS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)  # type: ignore[attr-defined]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):  # the caller went away
            log.exception("a question could not be answered")


class Serving:
    """Runs a server until `close`."""

    def __init__(self, server: socketserver.TCPServer, name: str):
        self._server = server
        # A daemon, for the case that the main thread falls without getting as far as `close`.
        self._thread = threading.Thread(target=server.serve_forever, args=(3600.0,), name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which sleeps for an hour otherwise
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
