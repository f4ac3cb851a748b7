"""Nobody is taken for somebody else, and whoever is to die dies: on real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from adaptive_nerf.jobs import processes
from adaptive_nerf.jobs.attempt_files import NONCE_NAME
from adaptive_nerf.jobs.processes import StillAlive, hold, holds_one_of, kill_all, member_of, stat_of
from tests.support.attempts import find_pids
from tests.support.freezer import a_freezer

PYTHON = (sys.executable, "-I", "-S", "-c")
NAP = "import time; print('up', flush=True); time.sleep(600)"


@pytest.fixture
def spawn():
    """Start a program in a session of its own and wait for its first line."""
    with contextlib.ExitStack() as stack:
        def start(program: str = NAP, nonce: str | None = None, **others) -> subprocess.Popen:
            env = {**os.environ, **({NONCE_NAME: nonce} if nonce else {})}
            child = stack.enter_context(subprocess.Popen([*PYTHON, program], stdout=subprocess.PIPE, env=env, text=True,
                                                         start_new_session=True, **others))
            stack.callback(child.kill)
            child.first_line = child.stdout.readline().strip()
            return child

        yield start


@pytest.fixture
def nonce():
    value = uuid.uuid4().hex
    yield value
    kill_all(holds_one_of({value}))


@pytest.mark.parametrize("name", ["a) S 1 (b", "two words", ")))", "li\nne"])
def test_a_name_cannot_forge_what_is_told_of_a_process(spawn, name):
    child = spawn(f"open('/proc/self/comm', 'w').write({name!r})\n{NAP}")
    stat = stat_of(child.pid)
    assert Path(f"/proc/{child.pid}/comm").read_text() == f"{name}\n"
    assert (stat.parent, stat.dead) == (os.getpid(), False)
    assert stat.start_ticks >= stat_of(os.getpid()).start_ticks


def test_nobody_is_told_of_where_nobody_is():
    child = subprocess.Popen([*PYTHON, "pass"])
    child.wait()
    assert stat_of(child.pid) is None
    assert processes.nonce_of(child.pid) is None
    assert hold(child.pid) is None


def test_a_process_that_nobody_has_buried_is_dead(spawn):
    child = spawn("print('up', flush=True)")
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert stat_of(child.pid).dead


def test_only_the_very_nonce_counts(spawn, nonce):
    right = spawn(nonce=nonce)
    spawn(nonce=nonce + "0")
    spawn(nonce="0" + nonce)
    spawn(f"import sys; {NAP}  # {NONCE_NAME}={nonce}")
    assert find_pids(holds_one_of({nonce, "another"})) == {right.pid}


def test_we_never_find_ourselves():
    assert os.getpid() not in find_pids(lambda _: True)


def test_a_process_is_held_only_by_its_own_beginning(spawn):
    child = spawn()
    ticks = stat_of(child.pid).start_ticks
    assert hold(child.pid, ticks + 1) is None
    pidfd = hold(child.pid, ticks)
    assert processes.send(pidfd, signal.SIGKILL)
    assert processes.wait_dead([pidfd], 30)
    child.wait()
    assert not processes.send(pidfd, signal.SIGKILL)
    os.close(pidfd)


def test_waiting_ends_with_the_time_if_not_with_the_process(spawn):
    child = spawn()
    pidfd = hold(child.pid)
    assert not processes.wait_dead([pidfd], 0.01)
    assert processes.wait_dead([], 0.0)
    os.close(pidfd)


def test_all_that_belong_are_killed_and_nobody_else(spawn, nonce):
    mine = [spawn(nonce=nonce) for _ in range(3)]
    other = spawn(nonce="0" + nonce)
    assert kill_all(holds_one_of({nonce})) == 3
    assert [child.wait() for child in mine] == [-signal.SIGKILL] * 3
    assert other.poll() is None
    assert kill_all(holds_one_of({nonce})) == 0


def test_who_forks_on_while_being_killed_does_not_escape(spawn, nonce):
    for _ in range(10):
        spawn("""
import os, time
end_s = time.monotonic() + 60  # should this test die before it has killed them
print("up", flush=True)
while time.monotonic() < end_s:
    if os.fork():
        os._exit(0)
""", nonce=nonce)
        kill_all(holds_one_of({nonce}), limit_s=30)
        assert not find_pids(holds_one_of({nonce}))


def test_a_session_is_found_whatever_its_environment(spawn):
    leader = spawn("import subprocess, sys, time\n"
                   f"child = subprocess.Popen({list(PYTHON)!r} + ['import time; time.sleep(600)'], env={{}})\n"
                   "print(child.pid, flush=True)\ntime.sleep(600)")
    begun = stat_of(leader.pid).start_ticks
    assert find_pids(member_of(leader.pid, begun)) == {leader.pid, int(leader.first_line)}
    assert find_pids(member_of(leader.pid, begun - 1)) == set()
    assert kill_all(member_of(leader.pid, begun)) == 2


def test_the_dead_are_not_killed_again_and_again(spawn):
    child = spawn()
    begun = stat_of(child.pid).start_ticks
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert kill_all(member_of(child.pid, begun)) == 0


def test_who_does_not_die_is_named(spawn, nonce):
    child = spawn(nonce=nonce)
    with a_freezer() as freezer:
        freezer.freeze(child.pid)
        with pytest.raises(StillAlive, match=f"processes {child.pid} of a finished attempt") as caught:
            kill_all(holds_one_of({nonce}), limit_s=0.1)
        assert caught.value.pids == (child.pid,)
