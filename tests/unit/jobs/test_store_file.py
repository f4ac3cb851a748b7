"""The store on its disk: who may open it, what survives what."""

import itertools
import sqlite3
import subprocess
import sys

import pytest

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.jobs.records import Draft
from adaptive_nerf.jobs.states import LIVE, Reason, State
from adaptive_nerf.jobs.store import Store, StoreFull, StoreLocked
from tests.support.small_disk import fill, small_disk
from tests.support.stores import LOGS, SOURCE, Clock, arrival, brought_to, names, new_job, queued, told

HOLDER = """
import sys, time
from pathlib import Path
from adaptive_nerf.jobs.store import Store
store = Store(Path(sys.argv[1]), "mediator-1")
print("open", flush=True)
sys.stdin.read()
"""
WRITER = """
import sys
from itertools import count
from pathlib import Path
from adaptive_nerf.jobs.store import Store
from tests.support.stores import LOGS, SOURCE, arrival
store = Store(Path(sys.argv[1]), "mediator-1")
for batch in count():
    store.take_in([arrival(10 * batch + place) for place in range(10)], LOGS)
    store.release(SOURCE, 10 * batch + 10)
    print(batch, flush=True)
"""


def start(program, folder, clone):
    return subprocess.Popen([sys.executable, "-c", program, folder], cwd=clone, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)


def take_until_full(store):
    for number in itertools.count():
        try:
            store.take_in([arrival(10 + number, new_job(f"b-{number}", "x" * 50_000))], LOGS)
        except StoreFull:
            return number


def test_a_state_folder_belongs_to_one_mediator_until_it_ends(tmp_path, clone):
    holder = start(HOLDER, tmp_path, clone)
    with holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match=f"another mediator works with {tmp_path}; stop it first"):
            Store(tmp_path, "mediator-2")
        holder.kill()
    Store(tmp_path, "mediator-2").close()


def test_a_second_store_in_the_same_process_is_refused_and_a_closed_one_lets_go(tmp_path):
    store = Store(tmp_path, "m")
    with pytest.raises(StoreLocked):
        Store(tmp_path, "m")
    store.close()
    Store(tmp_path, "m").close()


def test_a_store_of_a_newer_version_is_refused_by_name_and_left_as_it_is(open_store, tmp_path):
    open_store().close()
    path = tmp_path / "state/store.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    before = path.read_bytes()
    with pytest.raises(BadData, match=r"store\.sqlite: has format 7, and this version reads format 1; run the newer"):
        Store(tmp_path / "state", "mediator-1")
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [b"no database at all, but some text" * 100, b"\xff" * 3 + b"SQLite format"])
def test_a_damaged_store_is_one_clear_line_and_the_folder_is_free_again(tmp_path, damage):
    path = tmp_path / "store.sqlite"
    path.write_bytes(damage)
    for _ in range(2):
        with pytest.raises(BadData, match=r"store\.sqlite: is damaged: .*; bring back a copy"):
            Store(tmp_path, "mediator-1")


def test_a_start_that_fails_late_leaves_the_folder_free(tmp_path):
    def no_boot_id():
        raise FileNotFoundError("boot_id")

    with pytest.raises(FileNotFoundError):
        Store(tmp_path, "mediator-1", boot_id=no_boot_id)
    Store(tmp_path, "mediator-1").close()


def test_what_is_committed_is_on_the_disk_before_anybody_is_told(store):
    assert (store._one("PRAGMA journal_mode"), store._one("PRAGMA synchronous")) == ("wal", 2)


def test_nobody_else_can_read_what_the_service_knows(store):
    assert store.path.stat().st_mode & 0o077 == 0


def test_everything_is_there_after_a_restart(open_store):
    store = open_store()
    for state in State:
        if state not in (State.ACCEPTED, State.REJECTED):
            brought_to(store, state, job_id=f"j-{state}")
    brought_to(store, State.ACCEPTED, job_id="j-accepted")
    job = store.job("j-RUNNING")
    store.tell(job, Draft("progress"), progress={"step": 1}, url="http://host/", faults={"own": 1}, detail="so far")
    before, outbox = store.jobs(), store.unpublished(1000)
    store = open_store()
    assert (store.jobs(), store.unpublished(1000)) == (before, outbox)


def test_what_was_said_to_be_stored_is_there_after_a_kill(tmp_path, clone):
    with start(WRITER, tmp_path, clone) as writer:
        said = [int(writer.stdout.readline()) for _ in range(30)]
        writer.kill()
        said += [int(line) for line in writer.stdout]
    store = Store(tmp_path, "mediator-1")
    found = names(store.jobs())
    assert found[:10 * len(said)] == [f"job-{number}" for number in range(10 * len(said))]
    assert len(found) % 10 == 0, "a batch is whole or absent"
    for name in found[:5]:
        assert told(store, name) == ["accepted", "queued"]
    store.close()


def test_after_a_boot_of_the_host_times_of_the_old_one_mean_nothing(open_store, clock):
    store = open_store()
    for state in LIVE:
        brought_to(store, state, job_id=state)
    store.move(brought_to(store, State.RUNNING), State.RETRY_WAIT, not_before_steady_s=5000.0)
    clock.steady_s = 3.0
    assert open_store().next_due_steady_s() == 5000.0
    store = open_store(boot="boot-2")
    assert names(store.due(clock.steady_s)) == ["a"]
    assert {job.started_steady_s for job in store.jobs(LIVE)} == {3.0}


def test_a_full_disk_changes_nothing_and_work_goes_on_when_there_is_room(tmp_path):
    with small_disk(tmp_path / "disk", 2) as disk:
        store = Store(disk, "mediator-1", Clock())
        job = brought_to(store, State.RUNNING)
        fill(disk / "filler")
        history, taken = store.history("a"), take_until_full(store)
        with pytest.raises(StoreFull, match=r"store\.sqlite cannot be read or written: .*; free some space"):
            store.move(job, State.SUCCEEDED, Draft("succeeded", {"text": "x" * 500_000}))
        assert (store.job("a"), store.history("a")) == (job, history)
        (disk / "filler").unlink()
        assert store.move(job, State.SUCCEEDED, Draft("succeeded"), reason=Reason.DONE)
        assert store.take_in([arrival(10 + taken, new_job(f"b-{taken}"))], LOGS).accepted == 1
        store.close()
        store = Store(disk, "mediator-1", Clock())
        assert len(store.jobs([State.ACCEPTED])) == taken + 1
        assert told(store, "a")[-1] == "succeeded"
        store.close()


def test_a_disk_that_is_full_at_the_start_is_one_clear_line(tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "lock").touch()
        (disk / "store.sqlite").touch()
        fill(disk / "filler")
        with pytest.raises(StoreFull, match="free some space"):
            Store(disk, "mediator-1")


def test_a_transaction_that_finds_no_room_is_undone_as_a_whole(store):
    job, = queued(store, "a")
    pages = store._one("PRAGMA page_count")
    store._one(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFull):
        store.begin_attempt(job, ("cpu-0",), "nonce", Draft("warning", {"message": "x" * 100_000}))
    assert (store.job("a"), told(store, "a")) == (job, ["accepted", "queued"])
    store._one(f"PRAGMA max_page_count = {pages * 1000}")
    assert store.begin_attempt(job, ("cpu-0",), "nonce").attempt == 1


def test_an_error_inside_of_a_transaction_leaves_the_store_usable(store):
    job, = queued(store, "a")
    with pytest.raises(TypeError):
        store.move(job, State.CANCELLED, Draft("cancelled", {"what": object()}))
    assert store.move(job, State.CANCELLED, Draft("cancelled")).state is State.CANCELLED
    assert told(store, "a") == ["accepted", "queued", "cancelled"]


def test_released_jobs_are_started_by_priority_then_age(store):
    queued(store, "old", new_job("urgent", priority=9), "young", new_job("idle", priority=0),
           new_job("urgent too", priority=9))
    assert names(store.waiting()) == ["urgent", "urgent too", "old", "young", "idle"]
    assert names(store.waiting(3)) == ["urgent", "urgent too", "old"]


def test_a_long_queue_of_one_class_does_not_hide_another(store):
    queued(store, *(new_job(f"gpu-{number}", priority=9) for number in range(20)), new_job("cpu", gpus=0),
           new_job("view", light=True), new_job("view on the cpu", light=True, gpus=0))
    assert names(store.waiting(5)) == [*(f"gpu-{number}" for number in range(5)), "cpu", "view", "view on the cpu"]


def test_waiting_for_another_attempt_ends_when_its_time_has_come(store):
    assert store.next_due_steady_s() is None
    for number, due_s in enumerate([30.0, 10.0, 20.0]):
        store.move(brought_to(store, State.RUNNING, job_id=f"j{number}"), State.RETRY_WAIT, not_before_steady_s=due_s)
    assert store.next_due_steady_s() == 10.0
    assert names(store.due(20.0)) == ["j1", "j2"]
    assert names(store.due(99.0, limit=1)) == ["j1"]


def test_jobs_are_listed_and_counted(store):
    for state in (State.SUCCEEDED, State.QUEUED, State.RETRY_WAIT, State.ACCEPTED, State.RUNNING):
        brought_to(store, state, job_id=state.lower())
    assert names(store.jobs()) == ["succeeded", "queued", "retry_wait", "accepted", "running"]
    assert names(store.jobs(limit=2, newest_first=True)) == ["running", "accepted"]
    assert names(store.jobs({State.QUEUED, State.RUNNING}, limit=1)) == ["queued"]
    assert store.jobs([]) == []
    assert store.counts()[State.QUEUED] == 1
    assert store.backlog() == 3
    assert (store.job("nobody"), store.history("nobody")) == (None, [])
    assert store.job("\ud800") is None


def test_small_facts_are_kept(open_store):
    assert open_store().fact("client_ids") is None
    open_store().set_fact("client_ids", "[1]")
    open_store().set_fact("client_ids", "[1, 2]")
    assert open_store().fact("client_ids") == "[1, 2]"
    assert open_store().release(SOURCE, 1) == 0
