"""What a look at a machine found: each fact in plain words, whether all is well, and else what to do about it."""

import socket
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    name: str
    state: Literal["ok", "missing", "wrong"]  # missing: works without it; wrong: does not work
    fact: str
    remedy: str = ""

    def line(self) -> str:
        sign = {"ok": "ok", "missing": "--", "wrong": "NO"}[self.state]
        return f"{sign:>2}  {self.name}: {self.fact}" + (f"\n      -> {self.remedy}" if self.remedy else "")


def port_finding(name: str, address: str, remedy: str) -> Finding:
    """Whether something listens at HOST:PORT, and whether we could where nothing does."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdigit():
        return Finding(name, "wrong", f"'{address}' is no address", "give HOST:PORT")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return Finding(name, "ok", f"something answers at {address}")
    except OSError as error:
        return Finding(name, "missing", f"nothing answers at {address} ({error.strerror or error})", remedy)
