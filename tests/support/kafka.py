"""Brokers for tests: `real_kafka` (Apache Kafka, one node for the whole session) and `dev_broker` (the built-in one).

In a conftest.py: `from tests.support.kafka import dev_broker, real_kafka  # noqa: F401`. Both give an object with an
`address`; give every test topics and groups of its own (`unique("jobs")`), for the brokers are shared by all tests of
the session. `real_kafka` can be killed and restarted on the same data and port; leave it running at the end.
Without Java or the jars (`make kafka` brings them; needs Maven) `real_kafka` skips at home and fails in CI.
`KafkaNode(folder, ...)` makes further nodes, for a test that wants one for itself: use `with`.
"""

import itertools
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from kafka_utils import dev_broker as embedded
from kafka_utils import node
from tests.support.missing import missing

CLONE = Path(__file__).resolve().parents[2]
LIBS = CLONE / ".kafka" / "libs"
RUN = secrets.token_hex(3)
_numbers = itertools.count(1)


def unique(name: str) -> str:
    """A topic or a group that no other test knows."""
    return f"{name}-{RUN}-{next(_numbers)}"


def need_kafka() -> None:
    """Skips at home, fails in CI, where Apache Kafka cannot run."""
    if shutil.which("java") is None:
        missing("Apache Kafka needs Java 17 (Debian: apt-get install openjdk-17-jre-headless)")
    if not any(LIBS.glob("kafka_*.jar")):
        made = subprocess.run(["make", "kafka"], cwd=CLONE, capture_output=True, text=True, check=False) \
            if shutil.which("mvn") else None
        if made is None or made.returncode:
            missing(f"the jars of Apache Kafka are not there: {made.stderr if made else 'make kafka needs Maven'}")


class KafkaNode:
    """A node of our own: started on entering, killed on leaving, and with us if we are killed."""

    def __init__(self, folder: Path, listeners: Sequence[str] = (), extra: Mapping[str, str] | None = None,
                 format_options: Sequence[str] = ()):
        need_kafka()
        self.port = node.free_port()
        self._node = node.Node(folder, LIBS, self.port, listeners, extra or {}, format_options,
                               run_by=("setpriv", "--pdeathsig", "KILL", "--"))

    @property
    def address(self) -> str:
        return self._node.address

    @property
    def folder(self) -> Path:
        return self._node.folder

    def start(self) -> None:
        """On the same port and the same data as before."""
        node.start(self._node)

    def stop(self) -> None:
        node.stop(self.folder)

    def kill(self) -> None:
        """As kill -9 does."""
        node.stop(self.folder, signal.SIGKILL)

    def freeze(self) -> None:
        """It neither answers nor closes its connections, as behind a broken network; thaw() ends it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        identity = node.find(self.folder)
        assert identity is not None, "the node does not run"
        os.kill(identity.pid, number)

    def __enter__(self) -> "KafkaNode":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@pytest.fixture(scope="session")
def real_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode]:
    """Apache Kafka, one node; shared, so use names of your own (`unique`)."""
    with KafkaNode(tmp_path_factory.mktemp("kafka"), extra={"group.min.session.timeout.ms": "1000"}) as running:
        yield running


@pytest.fixture(scope="session")
def dev_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.DevBroker]:
    """The development broker; shared, so use names of your own (`unique`)."""
    broker = embedded.start(tmp_path_factory.mktemp("state"))
    yield broker
    broker.stop()
