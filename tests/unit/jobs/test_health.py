"""What the service says of itself."""

from collections import namedtuple
from types import SimpleNamespace

from adaptive_nerf.jobs import health
from adaptive_nerf.jobs.line import LineState

Usage = namedtuple("Usage", "free")


def test_free_space_is_that_of_the_fuller_disk(monkeypatch):
    monkeypatch.setattr(health.shutil, "disk_usage", lambda folder: Usage({"logs": 9, "state": 4}[folder]))
    line = SimpleNamespace(state=LineState.CONNECTED, why="", last_step_s=0.0)
    supervisor = SimpleNamespace(live={}, devices=SimpleNamespace(slots=()), ended={})
    vitals = health.Vitals(SimpleNamespace(logs="logs", state="state"), None, line, supervisor, lambda: "")
    assert vitals.health().disk_free_bytes == 4
