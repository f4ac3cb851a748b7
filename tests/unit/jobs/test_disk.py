"""The reserve of a disk that fills up."""

import select
from pathlib import Path
from types import SimpleNamespace

from adaptive_nerf.jobs.bell import Bell
from adaptive_nerf.jobs.disk import BALLAST_BYTES, Disk


def test_the_ballast_takes_room_and_gives_it_back_once(tmp_path):
    disk = Disk(tmp_path, tmp_path, low_bytes=0)
    disk.keep_ballast()
    assert disk.ballast.stat().st_size == BALLAST_BYTES
    assert disk.ballast.stat().st_blocks * 512 >= BALLAST_BYTES
    assert disk.drop_ballast()
    assert not disk.drop_ballast()


def test_low_names_the_folder_and_keeps_no_ballast(tmp_path):
    disk = Disk(tmp_path, tmp_path, low_bytes=2**62)
    disk.keep_ballast()
    assert str(tmp_path) in disk.low()
    assert not disk.ballast.exists()


def test_a_folder_that_is_gone_or_cannot_be_written_is_a_reason_and_no_failure(tmp_path, monkeypatch):
    disk = Disk(tmp_path, tmp_path / "logs", low_bytes=0)
    assert disk.low() == f"cannot look at {tmp_path / 'logs'}: no such file or directory; bring the folder back"
    assert disk.free_bytes() == 0
    (tmp_path / "logs").mkdir()
    assert disk.low() == ""
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / "logs")  # as one mounted for reading
    assert disk.low().startswith(f"{tmp_path / 'logs'} cannot be written; ")


def test_free_space_is_that_of_the_fuller_disk(monkeypatch):
    free = {"state": 4, "logs": 9}
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free[str(folder)]))
    assert Disk(Path("state"), Path("logs")).free_bytes() == 4


def test_a_ballast_for_which_there_is_no_room_is_done_without(tmp_path):
    disk = Disk(tmp_path, tmp_path, low_bytes=0)
    disk.ballast.mkdir()  # nothing can be written there
    disk.keep_ballast()
    assert not disk.drop_ballast()


def test_a_bell_rung_twice_is_quiet_after_one_look():
    bell = Bell()
    bell.ring()
    bell.ring()
    assert select.select([bell], [], [], 0)[0]
    bell.quiet()
    assert not select.select([bell], [], [], 0)[0]
    bell.quiet()
    bell.close()
