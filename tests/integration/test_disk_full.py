"""A full disk under state and logs: nothing new begins, what runs goes on, and no end is lost or invented."""

import shutil
import subprocess

import pytest

from tests.support.waiting import wait_until
from tests.support.world import World, topic_for

pytestmark = pytest.mark.system
MIB = 2**20


@pytest.fixture
def small_disk(real_kafka, tmp_path, request):
    """A world on a file system of 160 MiB; the runners' own record lies elsewhere, for they must be able to testify."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", disk]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    world = World(disk / "w", real_kafka.address, topic_for(request.node.originalname), said_in=tmp_path)
    world.logs.mkdir()
    (tmp_path / "runs.txt").touch()
    (world.logs / "runs.txt").symlink_to(tmp_path / "runs.txt")
    yield world
    world.close()
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(world, left_bytes):
    """Take all the room but so much; returns the file that holds it."""
    ballast = world.folder / "filled"
    with ballast.open("ab") as stream:
        while (free := shutil.disk_usage(world.folder).free - left_bytes) > 0:
            stream.write(bytes(min(free, MIB)))
            stream.flush()
    return ballast


def test_with_little_room_nothing_new_begins_and_what_runs_goes_on(small_disk):
    mediator = small_disk.start()
    small_disk.ledger.send("runs", "fake: sleep=2 quiet=1")
    small_disk.wait_running("runs")
    ballast = fill(small_disk, 32 * MIB)
    wait_until(lambda: not mediator.ready(), "the service says that it is not ready")
    small_disk.ledger.send_many(["held-1", "held-2"], "fake: sleep=0 quiet=1")
    small_disk.wait_state("runs", "SUCCEEDED")
    assert "MiB are free" in mediator.page("/readyz")[1].decode()
    assert mediator.state_of("held-1") in ("", "QUEUED")
    ballast.unlink()
    assert small_disk.must_be_clean().runs == 3


def test_jobs_that_end_while_there_is_no_room_at_all_are_told_truly_later(small_disk):
    mediator = small_disk.start()
    small_disk.ledger.send("good", "fake: sleep=2 quiet=1")
    small_disk.ledger.send("bad", "fake: sleep=2 exit=65 quiet=1")
    small_disk.wait_running("good", "bad")
    small_disk.wait_state("bad", "RUNNING")
    ballast = fill(small_disk, 0)
    small_disk.ledger.send("later", "fake: sleep=0 quiet=1")
    wait_until(lambda: len([line for line in (small_disk.logs / "runs.txt").read_text().splitlines()
                            if line.startswith("end")]) == 2, "both have ended")
    ballast.unlink()
    small_disk.must_be_clean()
    states = [mediator.state_of(name) for name in ("good", "bad", "later")]
    assert states == ["SUCCEEDED", "FAILED", "SUCCEEDED"]


def test_a_mediator_killed_on_a_full_disk_goes_on_when_there_is_room(small_disk):
    first = small_disk.start()
    small_disk.ledger.send_many(["a", "b"], "fake: sleep=3 quiet=1")
    small_disk.wait_running("a", "b")
    ballast = fill(small_disk, 0)
    first.kill()
    second = small_disk.launch()
    wait_until(lambda: not second.alive() or second.page("/livez")[0] == 200, "it runs, or says why not")
    if not second.alive():
        assert "no space left" in second.said().lower() or "disk is full" in second.said().lower()
        assert "Traceback" not in second.said()
    ballast.unlink()
    if not second.alive():
        small_disk.start()
    assert small_disk.must_be_clean().runs == 2
