"""A browser without a picture: speaks viser's protocol through the front door, as its page does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import viser
import zstandard
from websockets.sync.client import connect


class PageClient:
    def __init__(self, port: int, key: str, look_from: tuple[float, float, float] = (3.0, 0.0, 60.0)):
        self._socket = connect(f"ws://127.0.0.1:{port}/", subprotocols=[f"viser-v{viser.__version__}"], max_size=None,
                               additional_headers={"Cookie": f"adaptive_nerf_{port}={key}"})
        self.look_down(look_from)

    def look_down(self, position: tuple[float, float, float]) -> None:
        """From there, north at the top."""
        self._send({"type": "ViewerCameraMessage", "wxyz": [0.0, 1.0, 0.0, 0.0], "position": list(position),
                    "fov": 0.8, "near": 0.1, "far": 1000.0, "image_height": 60, "image_width": 80,
                    "look_at": [*position[:2], 0.0], "up_direction": [0.0, 1.0, 0.0]})

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message of that kind; TimeoutError when nothing at all comes for half a minute."""
        while True:
            for message in unpacked(self._socket.recv(timeout=30)):
                if message["type"] == "LocalStorageGetItemRequestMessage":
                    self._send({"type": "LocalStorageGetItemResponseMessage", "value": None, "error": None,
                                "request_uuid": message["request_uuid"]})
                if wanted(message):
                    return message

    def wait_for_picture(self) -> dict[str, Any]:
        return self.wait_for(lambda message: message["type"] == "BackgroundImageMessage" and message["rgb_data"])

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.send(msgspec.msgpack.encode(message))

    def __enter__(self) -> PageClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def unpacked(message: bytes) -> list[dict[str, Any]]:
    """What viser sends: two lengths, then packed messages."""
    length = int.from_bytes(message[8:16], "little")
    told: list[dict[str, Any]] = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(
        message[16:16 + length]))["messages"]
    return told
