"""An attempt is begun, found, ended and mourned, whoever dies in between: on real processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adaptive_nerf.common.errors import BadData
from adaptive_nerf.jobs import executors, processes, shim
from adaptive_nerf.jobs.attempt_files import (
    Ended,
    output_tail,
    read_ended,
    read_started,
    runner_environment,
    shim_complaint,
)
from adaptive_nerf.jobs.executors import Handle, LocalExecutor, SpawnFailed
from tests.support.attempts import Attempts, alive, find_pids, printed, started
from tests.support.freezer import a_freezer
from tests.support.small_disk import fill, small_disk
from tests.support.waiting import wait_until

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
# Starts a detached sleeper with our nonce, and one without any environment, and goes on sleeping itself.
LEAVE_BEHIND = f"""
import os, subprocess, sys
sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleeper, start_new_session=True)
subprocess.Popen(sleeper, env={{}})
{SLEEP}"""


@pytest.fixture
def attempts(tmp_path):
    made = Attempts(tmp_path)
    yield made
    made.clear()


def pid_of(handle: Handle) -> int:
    lines = Path(f"/proc/self/fdinfo/{handle.pidfd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


def found(attempts: Attempts, handle: Handle) -> Handle | Ended | None:
    answer = attempts.executor.find(handle.folder, handle.nonce)
    if isinstance(answer, Handle):
        attempts.handles.append(answer)
    return answer


def end_by_force(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_a_live_attempt_is_found_and_can_be_stopped_through_what_was_found(attempts):
    handle = attempts.start(SLEEP)
    printed(handle, "up")
    again = found(attempts, handle)
    assert pid_of(again) == pid_of(handle) == started(handle).shim_pid
    attempts.executor.stop(again)
    assert attempts.end(again).signal == signal.SIGTERM
    assert found(attempts, handle) == Ended(None, 15, None, 0, 0)


def test_an_attempt_just_spawned_is_found_before_it_has_written_anything(attempts, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(f"import os, runpy, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\n"
                    f"runpy.run_path({shim.__file__!r}, run_name='__main__')\n")
    attempts.executor.shim = slow
    handle = attempts.start("raise SystemExit(70)")
    again = found(attempts, handle)
    assert pid_of(again) == pid_of(handle)
    assert read_started(handle.folder, handle.nonce) is None
    (tmp_path / "go").touch()
    assert attempts.end(again).code == 70


def test_an_attempt_whose_start_could_not_be_written_is_found_by_its_nonce(attempts):
    handle = attempts.start(LEAVE_BEHIND)
    printed(handle, "up")
    (handle.folder / "started.json").unlink()
    assert pid_of(found(attempts, handle)) == pid_of(handle)


@pytest.mark.parametrize("wrong", ["boot_id", "nonce", "shim_start_ticks"])
def test_a_process_that_has_the_number_but_not_all_the_rest_is_not_taken_for_the_shim(attempts, wrong):
    """The file names us, with one fact that does not fit; found is the true shim."""
    handle = attempts.start(SLEEP)
    printed(handle, "up")
    path = handle.folder / "started.json"
    facts = json.loads(path.read_text())
    ours = {"shim_pid": os.getpid(), "shim_start_ticks": processes.stat_of(os.getpid()).start_ticks}
    path.write_text(json.dumps(facts | ours | {wrong: 1 if wrong == "shim_start_ticks" else "another"}))
    assert pid_of(found(attempts, handle)) == pid_of(handle)


def test_fifty_attempts_are_found(attempts):
    handles = [attempts.start(SLEEP) for _ in range(50)]
    assert {pid_of(found(attempts, handle)) for handle in handles} == {pid_of(handle) for handle in handles}


def test_many_that_look_at_once_do_not_take_each_other_for_the_shim(attempts):
    handle = attempts.start("pass")
    attempts.end(handle)
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: executors.is_locked(handle.folder / "lock"), range(2000)))


def test_the_lock_is_never_free_before_the_end_is_written(attempts):
    order = attempts.order("import time; time.sleep(0.2)")
    seen, lock = {"held": 0}, order.folder / "lock"

    def watch() -> None:
        while not seen.get("over") and "early" not in seen:
            if lock.exists():
                if executors.is_locked(lock):
                    seen["held"] += 1
                elif read_ended(order.folder, order.nonce) is None:
                    seen["early"] = 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    handle = attempts.executor.start(order)
    attempts.handles.append(handle)
    attempts.end(handle)
    seen["over"] = 1
    watcher.join()
    assert "early" not in seen
    assert seen["held"] > 10


def test_after_the_death_of_the_shim_nothing_is_left_and_nothing_is_known(attempts):
    handle = attempts.start(LEAVE_BEHIND)
    printed(handle, "up")
    session = processes.member_of(started(handle).runner_pid, started(handle).runner_start_ticks)
    assert len(find_pids(session)) == 2
    end_by_force(pid_of(handle))
    assert attempts.end(handle) is None
    assert not alive(handle.nonce)
    assert not find_pids(session)
    assert found(attempts, handle) is None


def test_the_runner_dies_with_its_shim_though_nobody_sweeps(attempts):
    handle = attempts.start(SLEEP)
    printed(handle, "up")
    runner = processes.hold(started(handle).runner_pid)
    end_by_force(pid_of(handle))
    wait_until(lambda: processes.wait_dead([runner], 1), "the runner to die")
    os.close(runner)


def test_a_lost_attempt_is_not_over_while_a_process_of_it_cannot_die(attempts):
    handle = attempts.start(SLEEP)
    printed(handle, "up")
    with a_freezer() as freezer:
        freezer.freeze(started(handle).runner_pid)
        attempts.executor.kill(handle)
        with pytest.raises(processes.StillAlive, match=str(started(handle).runner_pid)):
            attempts.end(handle)
        freezer.thaw()
        assert attempts.end(handle) is None


def test_a_lost_attempt_that_a_former_mediator_left_is_finished_the_same_way(attempts):
    handle = attempts.start(LEAVE_BEHIND)
    printed(handle, "up")
    end_by_force(pid_of(handle))
    wait_until(lambda: processes.wait_dead([handle.pidfd], 1), "the shim to die")
    assert found(attempts, handle) is None
    assert attempts.executor.finish(handle.folder, handle.nonce) is None
    assert not alive(handle.nonce)


def test_what_broke_a_shim_can_be_read(attempts, tmp_path):
    attempts.executor.shim = tmp_path / "broken.py"
    attempts.executor.shim.write_text("raise RuntimeError('broken installation')")
    handle = attempts.start("pass")
    assert attempts.end(handle) is None
    assert "RuntimeError: broken installation" in shim_complaint(handle.folder)
    assert shim_complaint(handle.folder.with_name("none")) == ""


def test_a_shim_that_does_not_obey_is_ended_with_all_that_it_keeps(attempts):
    handle = attempts.start(LEAVE_BEHIND)
    printed(handle, "up")
    os.kill(pid_of(handle), signal.SIGSTOP)
    attempts.executor.stop(handle)
    attempts.executor.kill(handle)
    assert attempts.end(handle) is None
    assert not alive(handle.nonce)


def test_all_but_a_shim_that_cannot_die_are_ended_all_the_same(attempts):
    handle = attempts.start(LEAVE_BEHIND)
    printed(handle, "up")
    with a_freezer() as freezer:
        freezer.freeze(pid_of(handle))
        attempts.executor.kill(handle)
        wait_until(lambda: alive(handle.nonce) <= {pid_of(handle)}, "all others to die")
        assert isinstance(found(attempts, handle), Handle)  # and the attempt is not over
        freezer.thaw()
        assert attempts.end(handle) is None


def test_stop_and_kill_of_the_dead_are_harmless(attempts):
    handle = attempts.start("pass")
    attempts.end(handle)
    attempts.executor.stop(handle)
    attempts.executor.kill(handle)
    assert attempts.executor.reap(handle).code == 0
    handle.close()
    handle.close()


def test_a_sweep_ends_what_is_left_of_these_attempts_only(attempts):
    mine, other = attempts.start(SLEEP), attempts.start(SLEEP)
    printed(mine, "up")
    printed(other, "up")
    assert attempts.executor.sweep([mine.nonce, "unknown"]) == 2
    assert attempts.executor.sweep([]) == 0
    assert len(alive(other.nonce)) == 2


def test_a_second_attempt_in_the_same_folder_is_refused_while_one_lives(attempts):
    handle = attempts.start(SLEEP)
    with pytest.raises(SpawnFailed, match="in use"):
        attempts.start(SLEEP, folder=handle.folder)
    assert found(attempts, handle)


def test_an_old_end_in_the_same_folder_is_not_the_new_one(attempts):
    old = attempts.start("print('old'); raise SystemExit(70)")
    attempts.end(old)
    new = attempts.start(SLEEP, folder=old.folder)
    printed(new, "up")
    assert "old" not in output_tail(new.folder, 1000)
    assert read_ended(new.folder, old.nonce) is None


def test_the_end_of_another_nonce_is_not_ours(attempts):
    handle = attempts.start("pass")
    attempts.end(handle)
    assert attempts.executor.find(handle.folder, "another") is None
    assert attempts.executor.find(handle.folder.with_name("none"), "another") is None


def test_an_end_in_a_newer_format_is_refused_by_name(attempts):
    handle = attempts.start("pass")
    attempts.end(handle)
    path = handle.folder / "exit.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "v": 2}))
    with pytest.raises(BadData, match=r"exit\.json: has format 2"):
        found(attempts, handle)
    path.write_text('{"v": 1, "nonce"')
    assert found(attempts, handle) is None


def test_what_is_done_to_the_group_or_terminal_of_the_mediator_does_not_reach_an_attempt(attempts):
    handle = attempts.start(SLEEP)
    shim_pid, runner = started(handle).shim_pid, started(handle).runner_pid
    assert os.getsid(shim_pid) == os.getpgid(shim_pid) == shim_pid
    assert os.getsid(runner) == os.getpgid(runner) == runner


def test_a_runner_outlives_the_thread_that_started_it(attempts):
    handles: list[Handle] = []
    thread = threading.Thread(target=lambda: handles.append(attempts.start("import time; time.sleep(0.3)")))
    thread.start()
    thread.join()
    assert attempts.end(handles[0]).code == 0


def test_the_children_of_others_are_left_to_them(attempts):
    other = subprocess.Popen([sys.executable, "-I", "-S", "-c", "raise SystemExit(9)"])
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    attempts.end(attempts.start("pass"))
    assert other.wait() == 9


def test_a_reaped_shim_is_no_zombie(attempts):
    handle = attempts.start("pass")
    pid = pid_of(handle)
    attempts.end(handle)
    assert processes.stat_of(pid) is None


def test_what_the_mediator_has_open_is_not_handed_on(attempts):
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    handle = attempts.start(SLEEP)
    printed(handle, "up")
    os.close(writing)
    assert os.read(reading, 1) == b""  # the end of the file: nobody else holds the other end
    os.close(reading)


def test_no_interpreter_and_no_room_are_spawn_failures(attempts, tmp_path):
    with pytest.raises(SpawnFailed, match=r"attempt 1 of job job could not be started.*/no/such/python"):
        LocalExecutor("/no/such/python").start(attempts.order("pass"))
    (tmp_path / "file").touch()
    with pytest.raises(SpawnFailed, match="cannot be used: Not a directory"):
        attempts.start("pass", folder=tmp_path / "file" / "1")
    with small_disk(tmp_path / "disk", size_mib=1) as disk:
        fill(disk / "filler")
        with pytest.raises(SpawnFailed, match="no space"):
            attempts.start("pass", folder=disk / "1")


def test_a_compiled_shim_that_was_cleaned_away_is_not_missed(attempts, tmp_path):
    attempts.executor.shim = tmp_path / "cleaned_away.pyc"
    assert attempts.end(attempts.start("raise SystemExit(64)")).code == 64


def test_a_shim_that_cannot_be_watched_does_not_run(attempts, monkeypatch):
    order = attempts.order(SLEEP)

    def none_left(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", none_left)
        with pytest.raises(SpawnFailed, match="Too many open files"):
            attempts.executor.start(order)
    wait_until(lambda: not alive(order.nonce), "all of it to be gone")


def test_running_out_of_memory_is_counted(attempts, memory_group):
    handle = attempts.start(f"import os\nopen('{memory_group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
                            "block = [b'x' * 2**20 for _ in range(200)]")
    ended = attempts.end(handle)
    assert (ended.code, ended.signal) == (None, signal.SIGKILL)
    assert ended.oom_kills >= 1


@pytest.fixture
def memory_group():
    """A control group of 50 MiB, in either version."""
    groups = Path("/sys/fs/cgroup")
    for parent, limit in ((groups / "memory", "memory.limit_in_bytes"), (groups, "memory.max")):
        folder = parent / f"test-{os.getpid()}-{time.monotonic_ns()}"
        if os.access(parent / "cgroup.procs", os.W_OK):
            folder.mkdir()
            if (folder / limit).exists():
                (folder / limit).write_text(str(50 * 2**20))
                yield folder
                folder.rmdir()
                return
            folder.rmdir()
    pytest.skip("needs root and a control group for memory")


def test_a_runner_gets_what_it_needs_and_no_secret():
    base = {"PATH": "/bin", "LC_ALL": "C", "OMP_NUM_THREADS": "2", "CUDA_HOME": "/cuda", "ADAPTIVE_NERF_ROOTS": "/data",
            "KAFKA_BROKER": "b", "ADAPTIVE_NERF_KAFKA_PASSWORD": "p", "TORCH_TOKEN": "t", "CUDA_API_KEY": "k",
            "ADAPTIVE_NERF_NONCE": "old", "ADAPTIVE_NERF_FAILPOINT": "spawn", "SSH_AUTH_SOCK": "s", "EDITOR": "vi"}
    kept = runner_environment(base, {"CUDA_VISIBLE_DEVICES": "GPU-1", "PATH": "/usr/bin"})
    assert kept == {"PATH": "/usr/bin", "LC_ALL": "C", "OMP_NUM_THREADS": "2", "CUDA_HOME": "/cuda",
                    "ADAPTIVE_NERF_ROOTS": "/data", "CUDA_VISIBLE_DEVICES": "GPU-1"}


def test_a_secret_of_the_mediator_reaches_neither_shim_nor_runner(attempts, monkeypatch):
    monkeypatch.setenv("ADAPTIVE_NERF_TEST_SECRET", "hunter2")
    handle = attempts.start(f"import os; print(os.environ)\n{SLEEP}")
    assert "hunter2" not in printed(handle, "up")
    assert "hunter2" not in (handle.folder / "order.json").read_text()
    assert "hunter2" not in Path(f"/proc/{pid_of(handle)}/environ").read_text()
