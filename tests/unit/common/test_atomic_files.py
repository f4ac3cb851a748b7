import errno
import os
import subprocess
import sys

import pytest

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.errors import DiskFull, OutputExists


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "a.txt"
    atomic_files.write_text(target, "old")
    atomic_files.write_text(target, "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "new")]


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
        atomic_files.publish_folder(partial, target)
    assert [path.name for path in tmp_path.rglob("*")] == ["scene", "new.txt"]


def test_an_existing_output_is_refused_unless_forced(tmp_path):
    with pytest.raises(OutputExists, match="--force"):
        atomic_files.refuse_existing(tmp_path, force=False)
    atomic_files.refuse_existing(tmp_path, force=True)
    atomic_files.refuse_existing(tmp_path / "new", force=False)
