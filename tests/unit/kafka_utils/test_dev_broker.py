"""The development broker's process: found by its file, gone with its parent, one per folder."""

import json
import os
import signal
import subprocess
import sys

import pytest

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.transport import BrokerUnreachable
from kafka_utils import dev_broker, reader
from kafka_utils.processes import identify
from kafka_utils.topic_manager import cluster_id, ensure_topics, reachable
from tests.support.waiting import wait_until

PARENT = """
import sys, time
from pathlib import Path
from kafka_utils import dev_broker
print(dev_broker.start(Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def broker(tmp_path):
    broker = dev_broker.start(tmp_path / "state")
    yield broker
    broker.stop()


def test_it_answers_and_is_found_by_its_file(broker, tmp_path):
    reachable({"bootstrap.servers": broker.address})
    assert dev_broker.find(tmp_path / "state") == broker.address
    assert dev_broker.default_broker(tmp_path / "state") == broker.address
    record = json.loads((tmp_path / "state" / "broker.json").read_text())
    assert record["v"] == 1
    assert record["pid"] == broker.pid


def test_it_takes_its_file_away_when_it_is_stopped(broker, tmp_path):
    broker.stop()
    assert not (tmp_path / "state" / "broker.json").exists()
    assert dev_broker.default_broker(tmp_path / "state") == "localhost:9092"


def test_a_file_left_by_a_killed_one_leads_nobody_astray(broker, tmp_path):
    os.kill(broker.pid, signal.SIGKILL)
    wait_until(lambda: identify(broker.pid) is None, "it is dead")
    assert (tmp_path / "state" / "broker.json").exists()
    assert dev_broker.find(tmp_path / "state") is None
    again = dev_broker.start(tmp_path / "state")
    assert dev_broker.find(tmp_path / "state") == again.address
    again.stop()


def test_a_reader_of_one_that_has_ended_is_told_and_does_not_wait_for_it(broker, monkeypatch):
    settings = {"bootstrap.servers": broker.address}
    ensure_topics(settings, {"events": {}})
    monkeypatch.setattr(reader, "GONE_S", 0.5)
    watching = reader.Reader(settings, "events")
    watching.from_end()
    broker.stop()
    with pytest.raises(BrokerUnreachable, match="has ended, and its records with it"):
        wait_until(lambda: watching.take(0.1), "it is told")
    watching.close()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1, "address": "x:1"}', '{"pid": "x"}', "\x00"])
def test_a_damaged_file_is_nobody(tmp_path, content):
    (tmp_path / "broker.json").write_text(content)
    assert dev_broker.find(tmp_path) is None


def test_a_second_one_in_the_same_folder_is_refused(broker, tmp_path, capfd):
    with pytest.raises(Failure, match="did not start"):
        dev_broker.start(tmp_path / "state")
    assert f"runs already at {broker.address}" in capfd.readouterr().err


def test_it_says_once_that_it_is_volatile(tmp_path, capfd):
    dev_broker.start(tmp_path).stop()
    assert capfd.readouterr().err.count("volatile, for development") == 1


def test_each_life_has_another_cluster_id(tmp_path):
    ids = set()
    for _ in range(2):
        broker = dev_broker.start(tmp_path)
        ids.add(cluster_id({"bootstrap.servers": broker.address}))
        broker.stop()
    assert len(ids) == 2


def test_it_ends_when_its_parent_is_killed(tmp_path, clone):
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], cwd=clone, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert identify(pid) is not None
        parent.kill()
    wait_until(lambda: identify(pid) is None, "the broker ends with its parent")
    assert not (tmp_path / "broker.json").exists()


def test_by_hand_it_runs_until_sigterm(tmp_path, clone):
    with subprocess.Popen([sys.executable, "-m", "kafka_utils.dev_broker", "--state", str(tmp_path)], cwd=clone,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        address = process.stdout.readline().decode().strip()
        assert dev_broker.find(tmp_path) == address
        process.terminate()
        assert process.wait() == 0
    assert dev_broker.find(tmp_path) is None
