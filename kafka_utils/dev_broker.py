"""The development broker: the one built into the client library, in a process of its own. Nothing to install.

It speaks the real protocol on loopback, but is volatile: records live in memory, 5 MiB a partition, then the oldest are
dropped in silence; the port is a free one; topics come into being with four partitions when they are first named;
a restarted group member waits for its old session to end; topics cannot be deleted. For development and demos only.

    .venv/bin/python -m kafka_utils.dev_broker --state .state    # until Ctrl-C; its address is in .state/broker.json
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka

from adaptive_nerf.common.atomic_files import make_folder, write_json
from adaptive_nerf.common.clock import now
from adaptive_nerf.common.command_line import parser, run
from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.say import say
from kafka_utils.link import LibraryLog
from kafka_utils.processes import identify, identity_in

FILE = "broker.json"
DEFAULT_ADDRESS = "localhost:9092"
START_S, STOP_S = 20.0, 5.0


@dataclass
class DevBroker:
    address: str
    pid: int
    process: subprocess.Popen[bytes] = field(repr=False)

    def stop(self) -> None:
        with self.process:  # closes its pipes and waits for its end
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
            self.process.kill()


def start(state: Path) -> DevBroker:
    """A development broker that ends with this process at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kafka_utils.dev_broker", "--state", str(state), "--tied"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)  # Ctrl-C is for us, not for it
    address = ""
    if process.stdout is not None and select.select([process.stdout], [], [], START_S)[0]:
        address = process.stdout.readline().decode().strip()
    broker = DevBroker(address, process.pid, process)
    if not address:
        broker.stop()
        raise Failure(f"the development broker did not start (code {process.returncode}); its own line says why")
    return broker


def find(state: Path) -> str | None:
    """The address of the development broker of that state folder, if one is alive."""
    record = _read(state / FILE)
    return str(record["address"]) if identity_in(record) is not None and "address" in record else None


def default_broker(state: Path) -> str:
    """Where commands look without --broker."""
    return find(state) or DEFAULT_ADDRESS


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        record = json.loads(path.read_bytes())
        return record if isinstance(record, dict) else {}
    return {}


@contextlib.contextmanager
def _announced(state: Path, address: str) -> Iterator[None]:
    identity, nonce = identify(os.getpid()), secrets.token_hex(8)
    if identity is None:
        raise Failure("/proc is not readable; it is needed to tell processes apart")
    write_json(state / FILE, {"v": 1, "address": address, **asdict(identity), "nonce": nonce, "at": now().wall_s})
    try:
        yield
    finally:
        if _read(state / FILE).get("nonce") == nonce:
            (state / FILE).unlink(missing_ok=True)


def serve(state: Path, tied: bool) -> None:
    """Serve until SIGTERM or Ctrl-C; `tied`: also until our standard input closes, as it does when our parent dies."""
    make_folder(state)
    if (other := find(state)) is not None:
        raise Failure(f"a development broker runs already at {other} ({state / FILE}); use it, or stop it first")
    signals, stop = _stop_pipe()
    client = confluent_kafka.Producer({"test.mock.num.brokers": 1}, logger=LibraryLog())
    address = _address(client)
    with _announced(state, address):
        say(f"development broker at {address}: volatile, for development; records are gone when it ends")
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        select.select([signals, *([sys.stdin] if tied else [])], [], [])
    os.close(stop)
    os.close(signals)


def _address(client: confluent_kafka.Producer) -> str:
    broker = next(iter(client.list_topics(timeout=START_S).brokers.values()))
    return f"{broker.host}:{broker.port}"


def _stop_pipe() -> tuple[int, int]:
    """A descriptor that becomes readable when we are told to stop."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reading, writing


def main() -> None:
    command = parser(__doc__)
    command.add_argument("--state", type=Path, default=Path(".state"), help="folder of broker.json")
    command.add_argument("--tied", action="store_true", help="end when standard input closes")
    options = command.parse_args()
    serve(options.state, options.tied)


if __name__ == "__main__":
    run(main)
