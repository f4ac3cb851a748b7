"""A full disk under state and logs: nothing new begins, what runs goes on, and no end is lost or invented."""

import shutil

import pytest

from tests.support.evidence import boottime_ns
from tests.support.small_disk import small_disk as a_small_disk
from tests.support.waiting import wait_until
from tests.support.world import World, topic_for

pytestmark = pytest.mark.system
MIB = 2**20


@pytest.fixture
def small_disk(real_kafka, tmp_path, request):
    """A world on a file system of 160 MiB. The runners' own record, and the word that they wait for, lie elsewhere."""
    with a_small_disk(tmp_path / "disk", 160) as disk:
        world = World(disk / "w", real_kafka.address, topic_for(request.node.originalname), said_in=tmp_path)
        world.logs.mkdir()
        (tmp_path / "runs.txt").touch()
        (world.logs / "runs.txt").symlink_to(tmp_path / "runs.txt")
        (world.logs / "go.full").symlink_to(tmp_path / "go.full")
        yield world
        world.close()


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
    small_disk.ledger.send("runs", "fake: until=full quiet=1")
    small_disk.wait_running("runs")
    ballast = fill(small_disk, 32 * MIB)
    wait_until(lambda: not mediator.ready(), "the service says that it is not ready")
    small_disk.ledger.send_many(["held-1", "held-2"], "fake: sleep=0 quiet=1")
    small_disk.ledger.flush()
    small_disk.let_go("full")
    small_disk.wait_state("runs", "SUCCEEDED")
    assert "MiB are free" in mediator.page("/readyz")[1].decode()
    assert mediator.state_of("held-1") in ("", "QUEUED")
    room_since_ns = boottime_ns()
    ballast.unlink()
    assert small_disk.must_be_clean().runs == 3
    assert all(mark.at_ns > room_since_ns for name in ("held-1", "held-2") for mark in small_disk.marks(name))


def test_jobs_that_end_while_there_is_no_room_at_all_are_told_truly_later(small_disk):
    mediator = small_disk.start()
    small_disk.ledger.send("good", "fake: until=full quiet=1")
    small_disk.ledger.send("bad", "fake: until=full exit=65 quiet=1")
    small_disk.wait_running("good", "bad")
    small_disk.wait_state("bad", "RUNNING")
    ballast = fill(small_disk, 0)
    small_disk.ledger.send("later", "fake: sleep=0 quiet=1")
    small_disk.let_go("full")
    small_disk.wait_over("good", "bad")
    ballast.unlink()
    small_disk.must_be_clean()
    states = [mediator.state_of(name) for name in ("good", "bad", "later")]
    assert states == ["SUCCEEDED", "FAILED", "SUCCEEDED"]


def test_a_mediator_killed_on_a_full_disk_goes_on_when_there_is_room(small_disk):
    first = small_disk.start()
    small_disk.ledger.send_many(["a", "b"], "fake: until=full quiet=1")
    small_disk.wait_running("a", "b")
    ballast = fill(small_disk, 0)
    first.kill()
    second = small_disk.launch()
    wait_until(lambda: not second.alive() or second.page("/livez")[0] == 200, "it runs, or says why not")
    small_disk.let_go("full")
    if not second.alive():
        assert "no space left" in second.said().lower() or "disk is full" in second.said().lower()
        assert "Traceback" not in second.said()
    ballast.unlink()
    if not second.alive():
        small_disk.start()
    assert small_disk.must_be_clean().runs == 2
