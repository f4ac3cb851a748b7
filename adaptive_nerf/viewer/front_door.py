"""The only way in from outside: HTTP and websockets for holders of the key, handed on to viser on the loopback.

viser itself knows no login, no Origin and no Host; so it listens on a free loopback port, and we stand before it.
    /healthz             needs no key
    /?token=KEY          right: a cookie, and on to the page without the key in the address
    anything else        the cookie, or the small form that asks for the key, and nothing else
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from socket import socket

import aiohttp
from aiohttp import web

from adaptive_nerf.viewer import door_pages
from adaptive_nerf.viewer.access import (
    NAMES_VARIABLE,
    is_for_us,
    is_key,
    is_our_page,
    key_in,
    leads_elsewhere,
    names_of_this_machine,
    query_for_the_page,
)
from adaptive_nerf.viewer.relay import Relay

MOST_PEOPLE = 64
LARGEST_FORM = 8192
SECONDS_TO_END = 3.0
HEALTH, ANY = "/healthz", "/{path:.*}"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lock:
    """What opens the door, and under which names it is asked for."""

    key: str
    cookie: str  # its name: cookies of one machine are shared by all its ports
    names: frozenset[str]

    @classmethod
    def of(cls, key: str, host: str, port: int) -> Lock:
        return cls(key, f"adaptive_nerf_{port}", names_of_this_machine(host))


class FrontDoor:
    """Serves on a thread of its own, from construction to `close`; `listening` becomes its own."""

    def __init__(self, listening: socket, lock: Lock, relay: Relay):
        self._listening, self._lock, self._relay = listening, lock, relay
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="front door")
        self._thread.start()
        self._ready.wait()
        if self._problem is not None:
            self._thread.join()
            raise self._problem

    def close(self) -> None:
        """Say goodbye to all browsers, and end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._problem = error
            if self._ready.is_set():
                log.exception("the front door fell shut")
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        await self._relay.open()
        rooms = web.Application(middlewares=[self._guard], client_max_size=LARGEST_FORM)
        rooms.router.add_get(HEALTH, _healthy)
        rooms.router.add_get(ANY, self._get)
        rooms.router.add_post("/", self._enter)
        runner = web.AppRunner(rooms, access_log=None, handle_signals=False, shutdown_timeout=SECONDS_TO_END)
        await runner.setup()
        try:
            await web.SockSite(runner, self._listening).start()
            self._ready.set()
            await self._end.wait()
        finally:
            await self._relay.close()
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What holds for every request, whoever asks."""
        host = request.headers.get("Host", "")
        if request.path != HEALTH and not is_for_us(host, self._lock.names):
            words = ("This server answers to its address in numbers (as http://192.168.1.20:7070) or to its own name. "
                     f"Another name must be listed in {NAMES_VARIABLE} where the viewer is started.")
            return _page(door_pages.told("Not under this name", words), HTTPStatus.MISDIRECTED_REQUEST)
        if not is_our_page(request.headers.get("Origin"), host):
            words = "The request comes from a page of another server."
            return _page(door_pages.told("Not from there", words), HTTPStatus.FORBIDDEN)
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            status = HTTPStatus(refusal.status)
            response = _page(door_pages.told(status.phrase, "There is nothing here."), status)
            if "Allow" in refusal.headers:
                response.headers["Allow"] = refusal.headers["Allow"]
        return response

    async def _get(self, request: web.Request) -> web.StreamResponse:
        query = query_for_the_page(request.query_string)
        given = request.query.get("token")
        if given is not None:
            return self._open_with(given, query)
        if not is_key(request.cookies.get(self._lock.cookie, ""), self._lock.key):
            return _page(door_pages.key_form(query, wrong=False), HTTPStatus.UNAUTHORIZED)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request)
            return await self._file(request, query)
        except aiohttp.ClientError:
            words = "The server of this page is starting or ending. Load the page again in a moment."
            return _page(door_pages.told("One moment", words), HTTPStatus.BAD_GATEWAY)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if len(self._relay.browsers) >= MOST_PEOPLE:
            words = f"{MOST_PEOPLE} people are looking already."
            return _page(door_pages.told("Full", words), HTTPStatus.SERVICE_UNAVAILABLE)
        return await self._relay.websocket(request)

    async def _file(self, request: web.Request, query: str) -> web.Response:
        path = request.rel_url.raw_path
        if leads_elsewhere(request.query):
            return _page(door_pages.welcome(query), HTTPStatus.OK)
        found = await self._relay.file(path)
        if found is None:
            raise web.HTTPNotFound
        content, kind = found
        response = web.Response(body=content, headers={**door_pages.ALWAYS, "Content-Type": kind,
                                "Content-Security-Policy": door_pages.page_policy(request.headers["Host"])})
        response.enable_compression()
        return response

    async def _enter(self, request: web.Request) -> web.Response:
        try:
            form = await request.post()
        except (ValueError, LookupError) as error:  # no boundary, or letters that nobody knows
            raise web.HTTPBadRequest from error
        return self._open_with(str(form.get(door_pages.FORM_FIELD, "")), query_for_the_page(request.query_string))

    def _open_with(self, given: str, query: str) -> web.Response:
        if not is_key(key_in(given), self._lock.key):
            return _page(door_pages.key_form(query, wrong=True), HTTPStatus.UNAUTHORIZED)
        response = _page(door_pages.welcome(query), HTTPStatus.OK)
        response.set_cookie(self._lock.cookie, self._lock.key, httponly=True, samesite="Strict", path="/")
        return response


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n", headers=door_pages.ALWAYS)


def _page(content: str, status: HTTPStatus) -> web.Response:
    headers = {**door_pages.ALWAYS, "Content-Security-Policy": door_pages.OWN_POLICY}
    return web.Response(text=content, status=status, content_type="text/html", headers=headers)
