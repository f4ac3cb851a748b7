import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest

from adaptive_nerf.viewer.snapshots import pose_of, save_snapshot
from adaptive_nerf.viewer.viewpoints import View

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def test_a_picture_lies_beside_its_pose(tmp_path, georeferenced):
    view = View(np.array([0.0, -50, 20]), np.zeros(3), 0.9)
    picture = save_snapshot(tmp_path / "snapshots", b"png", pose_of(view, georeferenced, None, "Colour"), AT)
    assert picture.name == "2026-05-04T03-02-01Z.png"
    pose = json.loads(picture.with_suffix(".json").read_text())
    assert pose["heading_deg"] == pytest.approx(0)
    assert pose["open_at"].startswith("/?initialCameraPosition=0.000,-50.000,20.000")
    assert "°" in pose["position"]


def test_two_people_in_one_second_have_a_picture_each(tmp_path):
    with ThreadPoolExecutor(8) as people:
        taken = list(people.map(lambda n: save_snapshot(tmp_path, bytes([n]), {"by": n}, AT), range(40)))
    assert len({path.name for path in taken}) == 40
    assert [path.read_bytes() for path in taken] == [bytes([n]) for n in range(40)]


def test_two_pictures_of_one_second_are_both_kept(tmp_path):
    names = {save_snapshot(tmp_path, bytes([n]), {}, AT).name for n in range(3)}
    assert len(names) == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
