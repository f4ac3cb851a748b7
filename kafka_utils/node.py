"""One Apache Kafka node (KRaft: broker and controller in one Java process) for a development machine and for tests.

Everything lies in one folder: server.properties, data/, kafka.log, node.json (who runs). The node listens on loopback,
outlives the command that started it, and is stopped by its identity, never by its name. `make kafka` brings the jars.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NoReturn

from adaptive_nerf.common.atomic_files import make_folder, write_json, write_text
from adaptive_nerf.common.errors import BadUsage, Failure
from adaptive_nerf.common.transport import BrokerError
from kafka_utils.processes import Identity, end, identify, identity_in
from kafka_utils.topic_manager import reachable

START_S, STOP_S = 60.0, 30.0
PROPERTIES, DATA, LOG, RECORD = "server.properties", "data", "kafka.log", "node.json"
JAVA_MEMORY = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
OLDEST_JAVA, LOWEST_PORT = 17, 10_000
LOG4J = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %m (%c{1})%n
"""


@dataclass(frozen=True)
class Node:
    folder: Path
    libs: Path  # the jars
    port: int = 9092
    listeners: Sequence[str] = ()  # further ones, such as SASL_SSL://localhost:9094
    extra: Mapping[str, str] = field(default_factory=dict)  # further properties
    format_options: Sequence[str] = ()  # for the first start, such as users
    run_by: Sequence[str] = ()  # a command in front of java

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


def start(node: Node, wait_s: float = START_S) -> Identity:
    """Start the node, or find it running; returns when it answers."""
    if (running := find(node.folder)) is not None:
        return running
    java = _java()
    classes = _classes(node.libs)
    _refuse_taken(node.port)
    make_folder(node.folder)
    write_text(node.folder / "log4j2.properties", LOG4J)
    write_text(node.folder / PROPERTIES, _properties(node))
    if not (node.folder / DATA / "meta.properties").exists():
        _format(node, java, classes)
    identity = _spawn(node, [*node.run_by, java, *JAVA_MEMORY, _log4j(node), "-cp", classes, "kafka.Kafka",
                             str(node.folder / PROPERTIES)])
    write_json(node.folder / RECORD, {"v": 1, "address": node.address, **asdict(identity)})
    _wait_ready(node, identity, wait_s)
    return identity


def stop(folder: Path, number: signal.Signals = signal.SIGTERM, wait_s: float = STOP_S) -> bool:
    """Stop the node of that folder, with SIGKILL if it does not obey; False where none runs."""
    identity = find(folder)
    if identity is None:
        return False
    if not end(identity, number, wait_s) and not end(identity, signal.SIGKILL, wait_s):
        raise Failure(f"process {identity.pid} of the Kafka node does not end; look at {folder / LOG}")
    (folder / RECORD).unlink(missing_ok=True)
    return True


def find(folder: Path) -> Identity | None:
    """The running node of that folder."""
    return identity_in(_record(folder))


def address(folder: Path) -> str:
    return str(_record(folder).get("address", ""))


def _record(folder: Path) -> dict[str, object]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        record = json.loads((folder / RECORD).read_bytes())
        return record if isinstance(record, dict) else {}
    return {}


def _properties(node: Node) -> str:
    """The controller's port is written down in the data at the first start, so it stays what it was."""
    controller = _controller_port(node.folder) or free_port()
    open_to_clients = [f"PLAINTEXT://{node.address}", *node.listeners]
    values = {
        "process.roles": "broker,controller", "node.id": "1",
        "listeners": ",".join([*open_to_clients, f"CONTROLLER://127.0.0.1:{controller}"]),
        "advertised.listeners": ",".join(open_to_clients),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "log.dirs": str((node.folder / DATA).absolute()),
        "num.partitions": "1", "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1", "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1", "share.coordinator.state.topic.min.isr": "1",
        # A lone member need not wait for others; after a kill the node is back in 6 s instead of 13 s.
        "group.initial.rebalance.delay.ms": "0", "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        **node.extra,
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _controller_port(folder: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        text = (folder / PROPERTIES).read_text()
        found = re.search(r"^controller\.quorum\.bootstrap\.servers=\S+:(\d+)$", text, re.M)
        return int(found[1]) if found else None
    return None


def _log4j(node: Node) -> str:
    return f"-Dlog4j2.configurationFile={(node.folder / 'log4j2.properties').absolute()}"


def _spawn(node: Node, command: Sequence[str]) -> Identity:
    """In a session of its own, so that Ctrl-C at the terminal and the end of this command leave it alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log, nothing = str(node.folder / LOG), os.devnull
    pid = os.posix_spawnp(command[0], list(command), os.environ, setsid=True, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, nothing, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2)])
    return identify(pid) or _gone(node)


def _format(node: Node, java: str, classes: str) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    done = subprocess.run(
        [java, *JAVA_MEMORY, _log4j(node), "-cp", classes,
         "kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster}",  # it may begin with "-"
         "-c", str(node.folder / PROPERTIES), *node.format_options],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Failure(f"{node.folder / DATA} could not be prepared: {last[0] if last else done.returncode}")


def _wait_ready(node: Node, identity: Identity, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if identify(identity.pid) != identity:
            _gone(node)
        with contextlib.suppress(BrokerError):
            return reachable({"bootstrap.servers": node.address}, 0.2)
    stop(node.folder, signal.SIGKILL)
    raise Failure(f"the Kafka node did not answer at {node.address} within {wait_s:g} s; look at {node.folder / LOG}")


def _gone(node: Node) -> NoReturn:
    lines = (node.folder / LOG).read_text(errors="replace").splitlines()
    errors = [line for line in lines if re.search(r"ERROR|FATAL|Exception", line)]
    why = f": {errors[-1].strip()}" if errors else ""
    raise Failure(f"the Kafka node ended before it answered{why}; its log is {node.folder / LOG}")


def _java() -> str:
    java = shutil.which("java")
    remedy = "on Debian: apt-get install openjdk-17-jre-headless"
    if java is None:
        raise BadUsage(f"Apache Kafka needs Java {OLDEST_JAVA} or newer, and there is none; {remedy}")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < OLDEST_JAVA:
        raise BadUsage(f"Apache Kafka needs Java {OLDEST_JAVA} or newer; {java} is {found[1] if found else 'none'}; "
                       f"{remedy}")
    return java


def _classes(libs: Path) -> str:
    if not any(libs.glob("kafka_*.jar")):
        raise BadUsage(f"the jars of Apache Kafka are not in {libs}; run `make kafka` once")
    return f"{libs.absolute()}/*"


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            raise BadUsage(f"--port {port} is no port; give one from 1 to 65535") from None
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken by another program" if taken else f"cannot be used: {error.strerror}"
            raise Failure(f"port {port} {why}; free it, or give another with --port") from error


def free_port() -> int:
    """Below the ports that the kernel gives to outgoing connections: one of those could take it during a restart."""
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = LOWEST_PORT + secrets.randbelow(lowest_given - LOWEST_PORT) if lowest_given > LOWEST_PORT else 0
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
