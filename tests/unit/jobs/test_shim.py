"""What the shim promises of one runner, seen on real processes: its exit, its end, its output, nothing left of it."""

import json
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_nerf.jobs import shim
from adaptive_nerf.jobs.attempt_files import Ended, output_files, output_tail, shim_complaint
from adaptive_nerf.jobs.executors import Handle
from adaptive_nerf.jobs.processes import stat_of
from tests.support.attempts import Attempts, alive, exit_file, printed, started
from tests.support.freezer import a_freezer
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

MIB = 2**20
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
DETACH = """
import os, sys, time
def detach(then):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            then()
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def attempts(tmp_path):
    made = Attempts(tmp_path)
    yield made
    made.clear()


@pytest.fixture
def full_soon(tmp_path):
    with small_disk(tmp_path / "disk", size_mib=8) as folder:
        yield folder


def wait_for_file(path: Path) -> str:
    return f"import os, time\nwhile not os.path.exists({str(path)!r}): time.sleep(0.01)\n"


@pytest.mark.parametrize("code", [0, 1, 64, 70, 75, 255])
def test_the_exit_code_is_written_as_it_was(attempts, code):
    assert attempts.end(attempts.start(f"raise SystemExit({code})")) == Ended(code, None, None, 0, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_written_as_a_signal(attempts, number):
    program = f"import os; os.kill(os.getpid(), {int(number)})"
    assert attempts.end(attempts.start(program)) == Ended(None, int(number), None, 0, 0)


def test_the_runner_finds_a_clean_house(attempts, tmp_path):
    handle = attempts.start("""
import os
environ = os.environ
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getcwd(), os.getsid(0) == os.getpid(), os.readlink("/proc/self/fd/0"), sorted(os.listdir("/proc/self/fd"))[:4])
print(status["SigBlk"].strip(), int(status["SigIgn"], 16) % 2**31, environ["ADAPTIVE_NERF_NONCE"], environ["EXTRA"])
""", env={"EXTRA": "given"})
    attempts.end(handle)
    first, second = output_tail(handle.folder, 1000).splitlines()
    assert first == f"{tmp_path} True /dev/null ['0', '1', '2', '3']"  # 3 is that of the listing itself
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25) again. What lies above 31 is the C library's own business.
    assert second == f"{'0' * 16} {1 << 12 | 1 << 24} {handle.nonce} given"


def test_a_program_in_another_language_gets_default_signals(attempts):
    handle = attempts.start(argv=("/bin/sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status"))
    attempts.end(handle)
    assert [int(line.split()[1], 16) % 2**31 for line in output_tail(handle.folder, 1000).splitlines()] == [0, 0]


@pytest.mark.parametrize("where", [{"argv": ("no-such-program",)}, {"cwd": Path("/no/such/folder")}])
def test_a_runner_that_cannot_be_started_is_told_as_such(attempts, where):
    ended = attempts.end(attempts.start("pass", **where))
    assert (ended.code, ended.signal) == (None, None)
    assert "cannot be started" in ended.spawn_error
    assert "No such file or directory" in ended.spawn_error


def test_a_polite_stop_comes_once_however_often_it_is_asked(attempts, tmp_path):
    handle = attempts.start(f"""
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked\\n"))  # print must not be called within a print
os.write(1, b"up\\n")
{wait_for_file(tmp_path / "go")}
raise SystemExit(75)""", grace_s=60)
    printed(handle, "up")
    attempts.executor.stop(handle)
    printed(handle, "asked")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.pidfd_send_signal(handle.pidfd, number)
    (tmp_path / "go").touch()
    assert attempts.end(handle).code == 75
    assert output_tail(handle.folder, 1000).count("asked") == 1


def test_a_stop_before_the_shim_has_opened_its_eyes_is_not_lost(attempts):
    handle = attempts.start(SLEEP)
    attempts.executor.stop(handle)
    assert attempts.end(handle).signal == signal.SIGTERM


def test_who_ignores_the_stop_is_killed_when_the_grace_is_over_and_not_before(attempts):
    handle = attempts.start("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                            "while True: print(time.monotonic(), flush=True); time.sleep(0.01)", grace_s=0.5)
    printed(handle, "\n")
    before = float(output_tail(handle.folder, 1000).split()[-1])
    attempts.executor.stop(handle)
    assert attempts.end(handle).signal == signal.SIGKILL
    assert float(output_tail(handle.folder, 1000).split()[-1]) - before > 0.4


def test_the_grace_is_counted_by_a_clock_that_cannot_be_set(attempts, tmp_path):
    jumping = tmp_path / "jumping.py"  # the wall clock jumps an hour back at every look
    jumping.write_text("import itertools, runpy, sys, time\nlooks = itertools.count()\n"
                       "time.time = lambda: 2e9 - 3600.0 * next(looks)\n"
                       f"runpy.run_path({shim.__file__!r}, run_name='__main__')\n")
    attempts.executor.shim = jumping
    handle = attempts.start("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP, grace_s=0.3)
    printed(handle, "up")
    attempts.executor.stop(handle)
    assert attempts.end(handle).signal == signal.SIGKILL
    assert exit_file(handle)["ended_at"] < exit_file(handle)["started_at"]  # the clock did jump


def test_a_stopped_runner_is_woken_to_obey(attempts):
    handle = attempts.start("import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n" + SLEEP)
    printed(handle, "up")
    os.kill(started(handle).runner_pid, signal.SIGSTOP)
    attempts.executor.stop(handle)
    assert attempts.end(handle).code == 75


def test_a_flood_is_swallowed_and_its_beginning_and_end_are_kept(attempts):
    handle = attempts.start("import os\nos.write(1, b'first\\n')\nfor _ in range(200): os.write(1, b'x' * 2**20)\n"
                            "os.write(2, b'last\\n')")
    assert attempts.end(handle).code == 0
    files = output_files(handle.folder)
    assert files[0].name == "head.txt"
    assert files[0].read_bytes()[:6] == b"first\n"
    assert sum(path.stat().st_size for path in files) <= 65 * MIB
    assert len(files) == 9
    assert output_tail(handle.folder, 20 * MIB)[-6:] == "xlast\n"[-6:]
    assert len(output_tail(handle.folder, 20 * MIB)) == 20 * MIB


def test_little_output_is_all_in_one_file_in_order(attempts):
    handle = attempts.start("import os\nfor i in range(1000): os.write(1 + i % 2, b'%d\\n' % i)")
    attempts.end(handle)
    assert [path.name for path in output_files(handle.folder)] == ["head.txt"]
    assert output_tail(handle.folder, MIB).split() == [str(i) for i in range(1000)]


def test_two_hundred_detached_children_are_dead_when_the_end_is_told(attempts):
    handle = attempts.start(f"{DETACH}\nfor _ in range(200): detach(lambda: time.sleep(600))\n")
    assert attempts.end(handle) == Ended(0, None, None, 0, 200)
    assert not alive(handle.nonce)


def test_a_child_that_forks_on_and_on_is_caught(attempts):
    handle = attempts.start(f"""{DETACH}
end_s = time.monotonic() + 60  # should this test die before it has ended them
def hop():
    while time.monotonic() < end_s:
        if os.fork():
            os._exit(0)
        os.setsid()
for _ in range(3): detach(hop)
print("up", flush=True); time.sleep(0.1)""")
    assert attempts.end(handle).code == 0
    assert not alive(handle.nonce)


def test_a_child_that_hides_from_every_list_is_found_all_the_same(attempts):
    handle = attempts.start(f"""{DETACH}
def hide():
    os.closerange(0, 3)
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], {{}})
detach(hide)
""")
    assert attempts.end(handle).strays_killed == 1


def test_who_was_killed_by_the_runner_itself_is_no_stray(attempts):
    handle = attempts.start(f"""{DETACH}
reading, writing = os.pipe()
detach(lambda: (os.write(writing, b"%d" % os.getpid()), time.sleep(600)))
orphan = int(os.read(reading, 10))
os.kill(orphan, 9)
while os.path.exists(f"/proc/{{orphan}}"): time.sleep(0.01)""")
    assert attempts.end(handle) == Ended(0, None, None, 0, 0)


def test_children_of_a_killed_runner_die_with_it(attempts):
    handle = attempts.start(f"{DETACH}\ndetach(lambda: time.sleep(600))\n{SLEEP}")
    printed(handle, "up")
    os.kill(started(handle).runner_pid, signal.SIGKILL)
    assert attempts.end(handle) == Ended(None, 9, None, 0, 1)
    assert not alive(handle.nonce)


def test_orphans_that_end_by_themselves_leave_no_zombies_and_no_mark(attempts, tmp_path):
    handle = attempts.start(f"{DETACH}\nfor _ in range(20): detach(lambda: os._exit(3))\n"
                            f"print('up', flush=True)\n{wait_for_file(tmp_path / 'go')}")
    printed(handle, "up")
    pid, runner = started(handle).shim_pid, started(handle).runner_pid
    wait_until(lambda: children_of(pid) == {runner}, "the orphans to be buried")
    (tmp_path / "go").touch()
    assert attempts.end(handle) == Ended(0, None, None, 0, 0)


def test_the_end_is_not_told_while_a_child_cannot_die(attempts):
    handle = attempts.start(f"{DETACH}\ndetach(lambda: time.sleep(600))\nprint('up', flush=True)\ntime.sleep(600)")
    printed(handle, "up")
    runner = started(handle).runner_pid
    (child,) = alive(handle.nonce) - {runner, started(handle).shim_pid}
    with a_freezer() as freezer:
        freezer.freeze(child)
        attempts.executor.stop(handle)
        wait_until(lambda: stat_of(runner) is None, "the runner to be buried")
        assert isinstance(attempts.executor.find(handle.folder, handle.nonce), Handle)
        assert not (handle.folder / "exit.json").exists()
        freezer.thaw()
        assert attempts.end(handle) == Ended(None, signal.SIGTERM, None, 0, 1)


def test_waiting_for_who_cannot_die_uses_no_processor(attempts):
    handle, clock = attempts.start(SLEEP, grace_s=0), attempts.start("import time\nprint('up', flush=True)\n"
                                                                     "time.sleep(1)\nprint('over', flush=True)")
    printed(handle, "up")
    printed(clock, "up")
    with a_freezer() as freezer:
        freezer.freeze(started(handle).runner_pid)
        attempts.executor.stop(handle)
        before = switches(handle)
        printed(clock, "over")
        assert switches(handle) - before <= 5
        freezer.thaw()
        assert attempts.end(handle).signal in (signal.SIGTERM, signal.SIGKILL)


def children_of(parent: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rpartition(")")[2].split()[1] == str(parent):
                found.add(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_an_idle_shim_uses_no_processor(attempts):
    quiet, gagged = (attempts.start(f"import os, time; print('up', flush=True)\n{gag}\ntime.sleep(600)")
                     for gag in ("", "os.closerange(0, 3)"))
    clock = attempts.start("import time; print('up', flush=True); time.sleep(1.5); print('over', flush=True)")
    for handle in (quiet, gagged, clock):
        printed(handle, "up")
    before = switches(quiet), switches(gagged)
    printed(clock, "over")
    assert switches(quiet) == before[0]
    assert switches(gagged) - before[1] <= 3


def switches(handle: Handle) -> int:
    """How often the shim was given a processor and gave it up again."""
    status = Path(f"/proc/{started(handle).shim_pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def test_an_output_folder_that_cannot_be_made_stops_nothing(attempts):
    order = attempts.order("import os\nfor _ in range(50): os.write(1, b'x' * 2**20)")
    order.folder.mkdir(parents=True)
    (order.folder / "output").write_text("a file stands in the way")
    handle = attempts.executor.start(order)
    attempts.handles.append(handle)
    assert attempts.end(handle).code == 0
    assert exit_file(handle)["output_dropped_bytes"] == 50 * MIB
    assert "no place could be reserved" in shim_complaint(handle.folder)


def test_a_full_disk_stops_neither_the_runner_nor_the_telling_of_its_end(attempts, full_soon):
    handle = attempts.start("import os\nfor _ in range(64): os.write(1, b'x' * 2**20)\n"
                            f"rest = open({str(full_soon / 'rest')!r}, 'wb', 0)\ntry:\n"
                            "    while True: rest.write(b'x' * 2**20)\nexcept OSError: raise SystemExit(70)",
                            folder=full_soon / "1")
    assert attempts.end(handle).code == 70
    assert exit_file(handle)["output_dropped_bytes"] > 50 * MIB
    assert os.statvfs(full_soon).f_bavail == 0


def test_output_goes_on_where_the_disk_has_room_again_and_says_what_is_missing(attempts, full_soon, tmp_path):
    (full_soon / "filler").write_bytes(b"x" * 6 * MIB)
    handle = attempts.start("import os\nfor _ in range(4): os.write(1, b'x' * 2**20)\n"
                            f"{wait_for_file(tmp_path / 'go')}\nprint('room again', flush=True)",
                            folder=full_soon / "1")
    wait_until(lambda: os.statvfs(full_soon).f_bavail == 0, "the disk to be full")
    (full_soon / "filler").unlink()
    (tmp_path / "go").touch()
    attempts.end(handle)
    beginning, _, rest = output_tail(handle.folder, 10 * MIB).partition("\n[")
    dropped, _, end = rest.partition(" bytes of output could not be written here]\n")
    assert int(dropped) == exit_file(handle)["output_dropped_bytes"]
    assert len(beginning) + int(dropped) + len(end) == 4 * MIB + len("room again\n")
    assert end.endswith("room again\n")


@given(st.dictionaries(st.sampled_from("abc"), st.none() | st.integers() | st.floats(0, 1e10) | st.text()))
def test_what_the_shim_writes_is_json(values):
    wanted = {key: value if not isinstance(value, str) else "".join(c if c <= "\uffff" else "\ufffd" for c in value)
              for key, value in values.items()}
    assert json.loads(shim.as_json(values)) == wanted
