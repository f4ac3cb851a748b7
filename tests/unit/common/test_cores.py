import os

import pytest

from adaptive_nerf.common import cores


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What the system tells of this process's control groups; outermost last."""
    def write(*limits: str) -> None:
        inside = "/".join(f"group{level}" for level in range(1, len(limits)))
        (tmp_path / "mine").write_text(f"0::/{inside}\n")
        folder = tmp_path / "groups" / inside
        folder.mkdir(parents=True)
        for limit in limits:
            if limit:
                (folder / "cpu.max").write_text(limit + "\n")
            folder = folder.parent
    monkeypatch.setattr(cores, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(cores, "MINE", tmp_path / "mine")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    return write


@pytest.mark.parametrize(("limits", "usable"), [
    (("max 100000",), 64), (("200000 100000",), 2), (("150000 100000",), 2), (("1000 100000",), 1),
    (("max 100000", "300000 100000", ""), 3), (("800000 100000", "", "400000 100000"), 4), (("nonsense",), 64)])
def test_a_quota_of_any_group_around_the_process_counts(told, limits, usable):
    told(*limits)
    assert cores.usable_cores() == usable


def test_where_the_system_tells_no_quota_the_allowed_cores_count(told):
    assert cores.usable_cores() == 64
