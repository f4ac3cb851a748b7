import ctypes
import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import BadUsage, DiskFull, OutputExists


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "a.txt"
    atomic_files.write_text(target, "old")
    atomic_files.write_text(target, "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "new")]


def test_threads_that_write_one_file_do_not_take_it_from_each_other(tmp_path):
    target, texts = tmp_path / "a.txt", [str(number) * 2000 for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: atomic_files.write_bytes(target, texts[number % 4].encode(), durable=False),
                         range(2000)))
    assert target.read_text() in texts
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_keeps_the_old_file_and_names_the_disk(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    atomic_files.write_text(target, "old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match=r"no space left on the disk while writing .*a\.txt"):
        atomic_files.write_text(target, "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_writer_killed_in_the_middle_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    atomic_files.write_text(target, "old")
    program = ("import os, pathlib, sys; from adaptive_nerf.common import atomic_files;"
               "os.fsync = lambda descriptor: os.kill(os.getpid(), 9);"
               "atomic_files.write_text(pathlib.Path(sys.argv[1]), 'new')")
    assert subprocess.run([sys.executable, "-c", program, str(target)], check=False).returncode == -9
    assert target.read_text() == "old"
    assert all(path == target or atomic_files.is_temporary(path) for path in tmp_path.iterdir())


def test_a_folder_gets_its_name_when_it_is_finished(tmp_path):
    target = tmp_path / "scene"
    partial = atomic_files.partial_folder(target)
    partial.mkdir()
    (partial / "a.txt").write_text("whole")
    (partial / ".b.txt.1.tmp").write_text("left by a killed writer")
    atomic_files.publish_folder(partial, target)
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]
    assert [path.name for path in target.iterdir()] == ["a.txt"]


def test_publishing_over_an_older_folder_replaces_it_whole(tmp_path):
    target = tmp_path / "scene"
    for content in ("old", "new"):
        partial = atomic_files.partial_folder(target)
        partial.mkdir()
        (partial / f"{content}.txt").write_text(content)
        atomic_files.publish_folder(partial, target, replace=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["scene", "new.txt"]


def test_an_output_that_appeared_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "scene"
    partial = atomic_files.partial_folder(target)
    for folder in (partial, target):
        folder.mkdir()
        (folder / "a.txt").write_text(folder.name)
    with pytest.raises(OutputExists):
        atomic_files.publish_folder(partial, target)
    assert (target / "a.txt").read_text() == "scene"


def test_folders_are_swapped_where_the_file_system_cannot_exchange(tmp_path, monkeypatch):
    class LibraryThatCannot:
        def renameat2(self, *_):
            ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: LibraryThatCannot())
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    atomic_files.exchange(tmp_path / "first", tmp_path / "second")
    assert [(tmp_path / name / "a.txt").read_text() for name in ("first", "second")] == ["second", "first"]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_existing_output_is_refused_unless_forced(tmp_path):
    (tmp_path / "map.png").touch()
    with pytest.raises(OutputExists, match="--force"):
        atomic_files.refuse_existing(tmp_path, False, "map.png")
    atomic_files.refuse_existing(tmp_path, True, "map.png")
    atomic_files.refuse_existing(tmp_path / "new", False, "map.png")


def test_force_never_replaces_what_another_made(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "thesis")
    for name, problem in (("thesis", "was not made by this command"), ("thesis/thesis.txt", "was not made by"),
                          ("link", "is a link")):
        with pytest.raises(BadUsage, match=problem):
            atomic_files.refuse_existing(tmp_path / name, True, "map.png")


@pytest.mark.parametrize("path", [".", "..", "/", "a/.."])
def test_a_place_without_a_name_of_its_own_is_refused(path):
    with pytest.raises(BadUsage, match="is no name for a new folder"):
        atomic_files.partial_folder(Path(path))
