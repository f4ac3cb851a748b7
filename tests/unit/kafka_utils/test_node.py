"""The Kafka node's command: what is missing or in the way is one clear line. (That it runs: tests/contract.)"""

import os
import re
import socket
import subprocess

import pytest

from adaptive_nerf.common.errors import BadUsage, Failure
from kafka_utils import node

FAKE_JAVA = """#!/bin/sh
case "$*" in
  *-version*) echo 'openjdk version "{version}"' >&2;;
  *StorageTool*) mkdir -p {folder}/data; touch {folder}/data/meta.properties;;
  *) echo "2026-01-01 ERROR Port already bound (kafka.Kafka)"; exit 1;;
esac
"""


@pytest.fixture
def libs(tmp_path):
    folder = tmp_path / "libs"
    folder.mkdir()
    (folder / "kafka_2.13-4.1.0.jar").touch()
    return folder


@pytest.fixture
def java(tmp_path, monkeypatch):
    """Puts a java of our own in the search path."""
    def write(version):
        program = tmp_path / "bin" / "java"
        program.parent.mkdir()
        program.write_text(FAKE_JAVA.format(version=version, folder=tmp_path / "node"))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return write


def test_no_java_is_one_line_with_the_remedy(tmp_path, libs, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadUsage, match="needs Java 17 or newer, and there is none; on Debian: apt-get install openjdk"):
        node.start(node.Node(tmp_path / "node", libs))


def test_an_old_java_is_named(tmp_path, libs, java):
    java("11.0.2")
    with pytest.raises(BadUsage, match=r"needs Java 17 or newer; \S+/java is 11"):
        node.start(node.Node(tmp_path / "node", libs))


def test_missing_jars_are_named_with_the_remedy(tmp_path, java):
    java("17.0.1")
    with pytest.raises(BadUsage, match=r"are not in .*nothing; run `make kafka` once"):
        node.start(node.Node(tmp_path / "node", tmp_path / "nothing"))


def test_a_taken_port_is_named(tmp_path, libs, java):
    java("17.0.1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Failure, match=f"port {port} is taken"):
            node.start(node.Node(tmp_path / "node", libs, port))


def test_a_node_that_ends_at_once_says_why(tmp_path, libs, java):
    java("17.0.1")
    with pytest.raises(Failure, match=r"ended before it answered: .*ERROR Port already bound"):
        node.start(node.Node(tmp_path / "node", libs, node.free_port()))


def test_the_controller_keeps_its_port_when_the_node_gets_another(tmp_path, libs, java):
    java("17.0.1")
    found = []
    for port in (node.free_port(), node.free_port()):
        with pytest.raises(Failure):
            node.start(node.Node(tmp_path / "node", libs, port))
        text = (tmp_path / "node" / "server.properties").read_text()
        found.append(re.search(r"^controller.quorum.bootstrap.servers=(.*)$", text, re.M)[1])
        assert f"PLAINTEXT://127.0.0.1:{port}" in text
    assert found[0] == found[1]


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_number_that_is_no_port_is_named(port):
    with pytest.raises(BadUsage, match=f"--port {port} is no port; give one from 1 to 65535"):
        node._refuse_taken(port)


def test_nothing_to_stop_is_no_error(tmp_path):
    assert node.find(tmp_path) is None
    assert not node.stop(tmp_path)


def test_the_command_tells_where_it_stands(tmp_path, clone):
    told = subprocess.run([clone / "scripts" / "kafka_node.py", "status", "--data", str(tmp_path)], capture_output=True,
                          text=True, check=False)
    assert told.returncode == 1
    assert "no Kafka node of" in told.stderr
    assert "kafka_node.py start starts one" in told.stderr
