"""What monitoring and the viewer's front page read, over HTTP: /livez /readyz /metrics /jobs /jobs/<job_id>.

Nothing can be changed here. The Host header must name this machine, so that a foreign web page, whose name was turned
to our address, reads nothing. Everything is made when it is asked for; without callers it costs nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import logging
import platform
import socket
import socketserver
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from adaptive_nerf.common.clock import now
from adaptive_nerf.common.errors import BadInput, BadUsage, Failure
from adaptive_nerf.common.hosts import is_number
from adaptive_nerf.jobs.serving import FewCallers, Serving
from adaptive_nerf.jobs.states import Reason, State
from adaptive_nerf.jobs.views import UnknownJob, details, find, limit_of, listed, states_of

if TYPE_CHECKING:
    from adaptive_nerf.jobs.store import Store

PAGES = "/livez, /readyz, /metrics, /jobs, /jobs/<job_id>"
JSON, METRICS = "application/json", "text/plain; version=0.0.4; charset=utf-8"
PATIENCE_S = 10.0
OUR_NAMES = {"localhost", "127.0.0.1", "::1"}
EVERYWHERE = {"0.0.0.0", "::"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Health:
    """How the service is, as it knows itself at this moment."""

    live: bool  # its loops turn; else it should be started again
    ready: bool  # it takes in jobs
    why: str = ""  # not ready, or not live: one line
    connected: bool = False  # the consumer has its partitions
    last_poll_age_s: float = 0.0
    disk_free_bytes: int | None = None
    slots: int = 0
    slots_held: int = 0
    attempts_ended: Mapping[str, int] = field(default_factory=dict)  # reason -> how many since the start
    commit: str = ""


@dataclass(frozen=True)
class Page:
    status: HTTPStatus
    content: bytes
    kind: str = JSON


class Pages:
    """Path and query -> page. No sockets."""

    def __init__(self, health: Callable[[], Health], store: Store):
        self._health, self._store = health, store
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def page(self, target: str) -> Page:
        try:
            url = urlsplit(target)
            return self._find(url.path, parse_qs(url.query, keep_blank_values=True, max_num_fields=20))
        except UnknownJob as error:
            return _json({"error": str(error)}, HTTPStatus.NOT_FOUND)
        except (BadInput, ValueError) as error:
            return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def _find(self, path: str, query: dict[str, list[str]]) -> Page:
        if path == "/metrics":
            return Page(HTTPStatus.OK, generate_latest(self._registry), METRICS)
        if path in ("/livez", "/readyz"):
            return self._probe(path)
        if path == "/jobs":
            return self._jobs(query)
        if path.startswith("/jobs/"):
            job = find(self._store, unquote(path.removeprefix("/jobs/"), errors="strict"))
            return _json(details(self._store, job, now()))
        return _json({"error": f"no such page; there are {PAGES}"}, HTTPStatus.NOT_FOUND)

    def _probe(self, path: str) -> Page:
        health = self._health()
        good = health.live if path == "/livez" else health.live and health.ready
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        return _json({"live": health.live, "ready": health.ready, "why": health.why}, status)

    def _jobs(self, query: dict[str, list[str]]) -> Page:
        unknown = [name for name in query if name not in ("state", "limit")]
        if unknown:
            raise BadInput("give state=NAME, as often as needed, and limit=N")
        return _json(listed(self._store, states_of(query.get("state", [])), limit_of(query.get("limit", ["100"])[-1]),
                            now()))

    def collect(self) -> Iterable[Metric]:
        """Asked by the registry at every scrape."""
        health, counts = self._health(), self._store.counts()
        jobs = GaugeMetricFamily("adaptive_nerf_jobs", "Jobs by state", labels=["state"])
        for state in State:
            jobs.add_metric([state], counts.get(state, 0))
        ended = CounterMetricFamily("adaptive_nerf_attempts_ended", "Attempts ended since the start, by reason",
                                    labels=["reason"])
        for reason in Reason:  # those that never were, too: an alarm sees no first one without the 0 before it
            ended.add_metric([reason], health.attempts_ended.get(reason, 0))
        build = GaugeMetricFamily("adaptive_nerf_build_info", "What runs here", labels=["version", "commit", "python"])
        build.add_metric([version("adaptive-nerf"), health.commit, platform.python_version()], 1)
        gauges = {
            "ready": ("1 where /readyz says so", int(health.live and health.ready)),
            "backlog_jobs": ("Jobs accepted that do not run yet", self._store.backlog()),
            "outbox_records": ("Events not yet published", self._store.outbox_size()),
            "consumer_connected": ("1 where the consumer has its partitions", int(health.connected)),
            "last_poll_age_seconds": ("Since the broker was last asked", health.last_poll_age_s),
            "slots": ("Devices for jobs", health.slots), "slots_held": ("Devices in use", health.slots_held),
            "disk_free_bytes": ("Logs or state, whichever has less", health.disk_free_bytes)}
        told = [GaugeMetricFamily(f"adaptive_nerf_{name}", text, value=value)
                for name, (text, value) in gauges.items() if value is not None]
        return [jobs, ended, build, *told]


class HttpServer:
    """Serves "host:port" until `close`. Port 0 takes a free one; `url` tells which."""

    def __init__(self, address: str, health: Callable[[], Health], store: Store):
        host, port = host_and_port(address)
        try:
            server = (_SixServer if ":" in host else _Server)((host, port), Pages(health, store))
        except OSError as error:
            raise _refusal(address, error) from error
        if not ipaddress.ip_address(str(server.server_address[0])).is_loopback:
            log.warning("HTTP at %s is open to other machines; whoever reaches it can read what the jobs are", address)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{server.server_address[1]}"
        self._serving = Serving(server, "http")

    def close(self) -> None:
        self._serving.close()


def host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{address}")
        if parts.hostname and parts.port is not None and not parts.path and parts.username is None:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise BadUsage(f"--http {address!r} is no HTTP address; give one as 127.0.0.1:9108, or 'off'")


def _refusal(address: str, error: OSError) -> Failure | BadUsage:
    if error.errno == errno.EADDRINUSE:
        return Failure(f"the HTTP address {address} is taken by another program; give another one with --http")
    return BadUsage(f"the HTTP address {address} cannot be used here: {(error.strerror or 'refused').lower()}")


def _json(value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Page:
    return Page(status, json.dumps(value).encode() + b"\n")


class _Server(FewCallers, socketserver.TCPServer):
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], pages: Pages):
        self.pages, self.host = pages, address[0]
        super().__init__(address, _Caller)


class _SixServer(_Server):
    address_family = socket.AF_INET6


class _Caller(BaseHTTPRequestHandler):
    timeout = PATIENCE_S
    server: _Server
    server_version, sys_version = "adaptive-nerf", ""

    def do_GET(self) -> None:
        if not names_us(self.headers.get("Host", ""), self.server.host):
            self._send(_json({"error": "the Host header names another machine"}, HTTPStatus.FORBIDDEN))
        else:
            self._send(self.server.pages.page(self.path))

    do_HEAD = do_GET  # noqa: N815  (http.server's name)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses, told as JSON and without an echo of what was sent."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status, message = HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD; jobs are changed through the topic"
        self._send(_json({"error": message if status is HTTPStatus.METHOD_NOT_ALLOWED else status.phrase}, status))

    def _send(self, page: Page) -> None:
        self.send_response(page.status)
        headers = {"Content-Type": page.kind, "Content-Length": str(len(page.content)), "Cache-Control": "no-store",
                   "X-Content-Type-Options": "nosniff"}
        if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "GET, HEAD"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.content)

    def log_message(self, format: str, *parts: object) -> None:
        log.debug(format, *parts)


def names_us(header: str, bound: str) -> bool:
    """A loopback name, or the address that we listen on; where that is every address, any that is no name."""
    try:
        host = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    return host in OUR_NAMES or host == bound or (bound in EVERYWHERE and is_number(host))
