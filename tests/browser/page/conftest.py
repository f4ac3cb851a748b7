"""One small town for all tests of the page, a server that most of them share, and servers of their own for the rest."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from adaptive_nerf.viewer.access import key_of_job
from kafka_utils.node import free_port
from tests.support.browser import Tab
from tests.support.town_backend import TownBackend
from tests.support.town_page_person import Person
from tests.support.town_scene import make_town_scene, town_backend
from tests.support.waiting import wait_until


@dataclass
class Served:
    process: subprocess.Popen
    port: int
    job: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={key_of_job(self.job)}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def start_server(scene: Path, job: Path, port: int = 0, limit_s: float = 0.0) -> Served:
    job.mkdir(exist_ok=True)
    key_of_job(job)  # before the server asks for it: of two that make one at once, the last would have it
    port = port or free_port()
    command = [sys.executable, "-m", "tests.support.town_page", "--scene", str(scene), "--job", str(job),
               "--port", str(port), "--limit_s", str(limit_s)]
    served = Served(subprocess.Popen(command), port, job)
    try:
        wait_until(lambda: answers(port) or served.process.poll() is not None, "the server of the page", 120)
        assert served.process.poll() is None
    except BaseException:
        served.end()
        raise
    return served


def answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def town_scene(tmp_path_factory) -> Path:
    return make_town_scene(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="session")
def truth(town_scene, tmp_path_factory) -> TownBackend:
    """The same town in this process."""
    return town_backend(town_scene, tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="session")
def shared_server(town_scene, tmp_path_factory):
    served = start_server(town_scene, tmp_path_factory.mktemp("job"))
    yield served
    served.end()


@pytest.fixture
def serve(town_scene, tmp_path):
    """Starts a server of the test's own; again with `port` after one was ended."""
    started = []

    def start(**options) -> Served:
        started.append(start_server(town_scene, tmp_path / "job", **options))
        return started[-1]

    yield start
    for served in started:
        served.end()


@pytest.fixture
def visit(open_tab):
    """Opens the page and waits until its first picture is sharp."""
    def make(served: Served, query: str = "") -> Person:
        tab: Tab = open_tab(f"{served.url}&{query}" if query else served.url, width=1200, height=700)
        person = Person(tab)
        person.wait_until_sharp()
        return person

    return make
