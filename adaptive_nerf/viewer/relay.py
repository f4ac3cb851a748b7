"""Behind the front door: the pages and the websocket of the viser server, handed through unchanged."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import aiohttp
from aiohttp import web

from adaptive_nerf.viewer.inner_server import ORIGIN_HEADER

PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*(?:[A-Za-z0-9_-][A-Za-z0-9._-]*)?")
LARGEST_MESSAGE = 64 << 20  # from a browser: a picture of its whole window is the largest
HEARTBEAT_S, PATIENCE_S = 30.0, 20.0
MOST_FILES = 32
UNSENDABLE = {None, 1005, 1006, 1015}  # codes that only a library says to itself
OUR_TITLE, TITLE = "Adaptive NeRF", b"<title>Viser</title>"
Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class Relay:
    """`secret`: headers that tell viser that it is we who call. `seen` is called when a browser sent something."""

    def __init__(self, port: int, secret: dict[str, str], seen: Callable[[], None]):
        self._http, self._socket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/"
        self._secret, self._seen = secret, seen
        self._files: dict[str, tuple[bytes, str]] = {}
        self.browsers: set[web.WebSocketResponse] = set()

    async def open(self) -> None:
        self._client = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(),
                                             timeout=aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE_S))

    async def close(self) -> None:
        """All browsers at once: one that does not answer must not keep the others waiting."""
        code, reason = aiohttp.WSCloseCode.GOING_AWAY, b"the page's server ends"
        await asyncio.gather(*(browser.close(code=code, message=reason) for browser in self.browsers))
        await self._client.close()

    async def file(self, path: str) -> tuple[bytes, str] | None:
        """Content and its type, of a file of viser's page; None where there is no such."""
        if not PLAIN_PATH.fullmatch(path):
            return None
        if path not in self._files:
            async with self._client.get(self._http + path, headers={"Accept-Encoding": "identity"}) as answer:
                if answer.status != 200:
                    return None
                content = (await answer.read()).replace(TITLE, f"<title>{OUR_TITLE}</title>".encode(), 1)
                if len(self._files) < MOST_FILES:
                    self._files[path] = content, answer.headers.get("Content-Type", "application/octet-stream")
                return content, answer.headers.get("Content-Type", "application/octet-stream")
        return self._files[path]

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        said = request.headers.get("Sec-WebSocket-Protocol", "")
        offered = [name.strip() for name in said.split(",") if name.strip()]
        headers = {**self._secret, ORIGIN_HEADER: request.headers.get("Origin", "")}
        async with self._client.ws_connect(self._socket, protocols=offered, headers=headers, max_msg_size=0,
                                           compress=0, timeout=aiohttp.ClientWSTimeout(ws_close=2.0)) as viser:
            browser = web.WebSocketResponse(protocols=[viser.protocol] if viser.protocol else [], timeout=2.0,
                                            heartbeat=HEARTBEAT_S, max_msg_size=LARGEST_MESSAGE, compress=False)
            await browser.prepare(request)
            self.browsers.add(browser)
            try:
                await self._both_ways(browser, viser)
            finally:
                self.browsers.discard(browser)
            return browser

    async def _both_ways(self, browser: web.WebSocketResponse, viser: aiohttp.ClientWebSocketResponse) -> None:
        """Until one side ends; its reason is told to the other."""
        ways = {asyncio.create_task(_pump(browser, viser, self._seen)),
                asyncio.create_task(_pump(viser, browser, lambda: None))}
        try:
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        code, reason = next(iter(ended)).result()
        await viser.close(code=code, message=reason.encode())
        await browser.close(code=code, message=reason.encode())


async def _pump(source: Socket, target: Socket, seen: Callable[[], None]) -> tuple[int, str]:
    """Returns the code and the reason of the end."""
    while True:
        message = await source.receive()
        try:
            if message.type is aiohttp.WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.CLOSE:
                return _code(message.data), message.extra or ""
            else:
                return _code(source.close_code), ""
        except ConnectionError:  # the other side has gone
            return int(aiohttp.WSCloseCode.GOING_AWAY), ""
        seen()


def _code(code: int | None) -> int:
    return int(aiohttp.WSCloseCode.GOING_AWAY) if code in UNSENDABLE or code is None else int(code)
