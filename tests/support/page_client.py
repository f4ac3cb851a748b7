"""A browser without a picture: speaks viser's protocol through the front door, as its page does.

It keeps what a browser would have on its screen: widgets by their labels, and their texts.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import viser
import zstandard
from PIL import Image
from websockets.sync.client import connect

LONGEST_SILENCE_S = 30.0


class PageClient:
    """`look_from` is where it stands at first, looking straight down; `size` is its window."""

    def __init__(self, port: int, key: str, look_from: tuple[float, float, float] = (3.0, 0.0, 60.0),
                 size: tuple[int, int] = (80, 60)):
        self._socket = connect(f"ws://127.0.0.1:{port}/", subprotocols=[f"viser-v{viser.__version__}"], max_size=None,
                               additional_headers={"Cookie": f"adaptive_nerf_{port}={key}"})
        self._size = size
        self.widgets: dict[str, dict[str, Any]] = {}  # by uuid: what the server told of each
        self.look_down(look_from)

    def look_down(self, position: tuple[float, float, float]) -> None:
        """From there, north at the top."""
        self.look((0.0, 1.0, 0.0, 0.0), position, (*position[:2], 0.0), (0.0, 1.0, 0.0))

    def look(self, wxyz: Sequence[float], position: Sequence[float], look_at: Sequence[float],
             up: Sequence[float] = (0.0, 0.0, 1.0), fov_rad: float = 0.8) -> None:
        """In the VIEWER frame; the quaternion has RDF axes."""
        width, height = self._size
        self._send({"type": "ViewerCameraMessage", "wxyz": [*map(float, wxyz)], "position": [*map(float, position)],
                    "fov": fov_rad, "near": 0.1, "far": 1000.0, "image_height": height, "image_width": width,
                    "look_at": [*map(float, look_at)], "up_direction": [*map(float, up)]})

    def set(self, label: str, value: object) -> None:
        """As somebody does who chooses, ticks, types or presses."""
        self._send({"type": "GuiUpdateMessage", "uuid": self.uuid(label), "updates": {"value": value}})

    def uuid(self, label: str) -> str:
        return next(uuid for uuid, props in self.widgets.items() if props.get("label") == label)

    def has(self, label: str) -> bool:
        return any(props.get("label") == label for props in self.widgets.values())

    def texts(self) -> list[str]:
        """Of all Markdown and HTML that stands on the page."""
        return [text for props in self.widgets.values() for name in ("content", "_markdown")
                if isinstance(text := props.get(name), str)]

    def click(self, u: float, v: float) -> None:
        """In the picture, 0 to 1 from its upper left corner."""
        self._send({"type": "ScenePointerMessage", "event_type": "click", "ray_origin": [0.0, 0.0, 0.0],
                    "ray_direction": [0.0, 0.0, -1.0], "screen_pos": [[float(u), float(v)]], "modifier": None})

    def messages(self, timeout_s: float = LONGEST_SILENCE_S) -> list[dict[str, Any]]:
        """The next ones, answered and noted; TimeoutError when nothing at all comes for so long."""
        told = unpacked(self._socket.recv(timeout=timeout_s))
        for message in told:
            self._note(message)
        return told

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message of that kind; what came with it is passed over."""
        while True:
            for message in self.messages():
                if wanted(message):
                    return message

    def wait_until(self, seen: Callable[[], bool], within_s: float = 60.0) -> None:
        """Until what stands on the page makes that true."""
        deadline = time.monotonic() + within_s
        while not seen():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {within_s:g} s; the page says: {self.texts()}")
            self.messages()

    def wait_for_picture(self) -> dict[str, Any]:
        return self.wait_for(is_picture)

    def _note(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "LocalStorageGetItemRequestMessage":
            self._send({"type": "LocalStorageGetItemResponseMessage", "value": None, "error": None,
                        "request_uuid": message["request_uuid"]})
        elif kind == "GuiUpdateMessage":
            self.widgets.setdefault(message["uuid"], {}).update(message["updates"])
        elif kind == "GuiRemoveMessage":
            self.widgets.pop(message["uuid"], None)
        elif "props" in message and kind.startswith("Gui"):
            self.widgets[message["uuid"]] = {**message["props"], "value": message.get("value")}

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.send(msgspec.msgpack.encode(message))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> PageClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_picture(message: dict[str, Any]) -> bool:
    return message["type"] == "BackgroundImageMessage" and bool(message["rgb_data"])


def picture_size(message: dict[str, Any]) -> tuple[int, int]:
    return Image.open(io.BytesIO(message["rgb_data"])).size


def unpacked(message: bytes) -> list[dict[str, Any]]:
    """What viser sends: two lengths, then packed messages."""
    length = int.from_bytes(message[8:16], "little")
    told: list[dict[str, Any]] = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(
        message[16:16 + length]))["messages"]
    return told
