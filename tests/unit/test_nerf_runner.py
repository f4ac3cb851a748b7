"""Most call the runner as the service does: as a process of its own; its operations are written for the test."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adaptive_nerf import nerf_runner
from adaptive_nerf.common.errors import BadData, BadInput, BadUsage, DiskFull, Failure
from adaptive_nerf.common.run_progress import StopRequested
from adaptive_nerf.jobs.message import BadMessage
from adaptive_nerf.jobs.spec import MODELS
from adaptive_nerf.jobs.states import Exit
from tests.support.waiting import wait_until

MESSAGE = {"op": "train", "data_path": "data/town"}
# Starts the runner with `operations` in the place of its own, and everything else as it is.
WITH_OPERATIONS = """
import sys
from adaptive_nerf import nerf_runner
nerf_runner.OPERATIONS["train"] = "operations:train"
nerf_runner.main()
"""


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


class Runner:
    """Calls the runner in a folder: with an operation of the given source, else by its path with its own operations."""

    def __init__(self, folder: Path, clone: Path):
        self.folder, self.path, self.started = folder, clone / "adaptive_nerf" / "nerf_runner.py", []
        self.search = os.pathsep.join(map(str, (folder, clone)))  # for operations, and for this working tree
        (folder / "message.json").write_text(json.dumps(MESSAGE))

    def start(self, *flags, operation=None, stderr=subprocess.DEVNULL, **env) -> subprocess.Popen:
        if operation is not None:
            (self.folder / "operations.py").write_text(operation)
        program = [str(self.path)] if operation is None else ["-c", WITH_OPERATIONS]
        command = [sys.executable, *program, "--configPath", "message.json", "--out", "job", *flags]
        self.started.append(subprocess.Popen(command, cwd=self.folder, stderr=stderr, text=True,
                                             env={**os.environ, "PYTHONPATH": self.search, **env}))
        return self.started[-1]

    def __call__(self, *flags, **options) -> tuple[int, str]:
        """Its exit code, and what it said."""
        with self.start(*flags, stderr=subprocess.PIPE, **options) as process:
            said = process.communicate()[1]
        return process.returncode, said


@pytest.fixture
def call(tmp_path, clone):
    runner = Runner(tmp_path, clone)
    yield runner
    for process in runner.started:
        process.kill()
        process.wait()


@pytest.fixture
def job(tmp_path):
    return lambda name: json.loads((tmp_path / "job" / name).read_text())


DOES_ITS_WORK = """
from adaptive_nerf.common.run_progress import Result
def train(run):
    run.progress.step(2, 2, {"psnr": 21.0})
    (run.out / "seen.txt").write_text(f"{run.spec.seed} {run.spec.job_id} {[str(root) for root in run.roots]}")
    return Result(("seen.txt",), {"psnr": 21.0})
"""


def test_a_job_goes_from_a_file_to_its_result(call, job, tmp_path):
    code, said = call("--set", "seed=7", operation=DOES_ITS_WORK, ADAPTIVE_NERF_ROOTS=f"/a{os.pathsep}/b")
    assert code == Exit.DONE, said
    assert job("result.json") == {"v": 1, "stopped": False, "artifacts": ["seen.txt"],
                                  "metrics": {"psnr": 21.0}, "effective": {}}
    assert (tmp_path / "job" / "seen.txt").read_text() == "7 job ['/a', '/b']"
    assert (job("progress.json")["step"], job("progress.json")["of"]) == (2, 2)
    assert "INFO done" in (tmp_path / "job" / "log.txt").read_text()


def test_job_json_tells_what_the_result_depended_on(call, job):
    for _ in range(2):
        assert call(operation=DOES_ITS_WORK, CUDA_VISIBLE_DEVICES="GPU-1")[0] == Exit.DONE
    kept = job("job.json")
    assert (kept["job_id"], kept["spec"], kept["resolved"]["outer_steps"]) == ("job", MESSAGE, 20_000)
    run = kept["runs"][-1]
    assert len(kept["runs"]) == 2
    assert run["versions"]["torch"]
    assert run["machine"]["cores"]
    assert run["device"]["visible"] == "GPU-1"
    assert "commit" in run


def test_an_operation_that_needs_what_is_not_there_is_a_broken_installation(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import what_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(nerf_runner.OPERATIONS, "train", "needs_more:train")
    with pytest.raises(nerf_runner.BrokenInstallation) as caught:
        nerf_runner.find_operation("train")
    assert str(caught.value) == "train needs what_nobody_has, which is not installed; run make setup"
    assert nerf_runner.exit_code(caught.value) is Exit.BROKEN_INSTALLATION


def test_it_can_be_called_as_a_module(tmp_path):
    told = subprocess.run([sys.executable, "-m", "adaptive_nerf.nerf_runner", "--help"], cwd=tmp_path, check=True,
                          capture_output=True, text=True).stdout
    assert "76 out of memory" in told


def test_the_runner_before_the_operation_imports_neither_torch_nor_numpy():
    code = "import sys, adaptive_nerf.nerf_runner; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("raised", "code", "cause"), [
    ("BadData('data/x', 'is damaged')", Exit.BAD_DATA, "data/x: is damaged"),
    ("BadUsage('no such prefix; there are best, last')", Exit.BAD_SPEC, "no such prefix"),
    ("ZeroDivisionError('by zero')", Exit.OWN_FAULT, "ZeroDivisionError: by zero"),
    ("MemoryError()", Exit.OUT_OF_MEMORY, "out of memory"),
    ("OSError(98, 'Address already in use')", Exit.RESOURCE_TAKEN, "OSError: [Errno 98] Address already in use")])
def test_a_failure_is_told_by_its_code_and_its_cause(call, job, raised, code, cause):
    ended, said = call(operation=f"from adaptive_nerf.common.errors import *\ndef train(run):\n    raise {raised}\n")
    assert ended == code
    assert job("failure.json")["cause"] == cause
    assert ("Traceback" in said) == (code is Exit.OWN_FAULT)


def test_what_stands_behind_the_semicolon_is_the_hint(call, job):
    call(operation="from adaptive_nerf.common.errors import *\ndef train(run):\n    raise Failure('worn out; rest')\n")
    assert job("failure.json") == {"v": 1, "cause": "worn out", "hint": "rest"}


def test_the_traceback_of_an_own_fault_is_in_the_log(call, tmp_path):
    assert call(operation="def train(run):\n    [][1]\n")[0] == Exit.OWN_FAULT
    assert "IndexError: list index out of range" in (tmp_path / "job" / "log.txt").read_text()


@pytest.mark.parametrize(("source", "told"), [
    ("import no_such_library", "needs no_such_library, which is not installed; run make setup"),
    ("from json import no_such_name", "cannot be loaded")])
def test_an_operation_that_cannot_be_loaded_is_a_broken_installation(call, source, told):
    code, said = call(operation=source)
    assert code == Exit.BROKEN_INSTALLATION
    assert told in said
    assert "Traceback" not in said


WAITS = """
import time
from adaptive_nerf.common.run_progress import StopRequested
def train(run):
    run.progress.step(1, 9)
    while not run.stop_requested():
        time.sleep(0.01)
    (run.out / "checkpoint.txt").write_text("saved")
    raise StopRequested("stopped at step 1; a checkpoint was written")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_polite(call, tmp_path, number):
    running = call.start(operation=WAITS)
    wait_until(lambda: '"of": 9' in _text(tmp_path / "job" / "progress.json"), "the work has begun")
    running.send_signal(number)
    assert running.wait() == Exit.STOPPED
    assert json.loads((tmp_path / "job" / "result.json").read_text()) == {
        "v": 1, "stopped": True, "artifacts": [], "metrics": {}, "effective": {}}
    assert (tmp_path / "job" / "checkpoint.txt").exists()
    assert not (tmp_path / "job" / "failure.json").exists()


def test_a_stop_while_libraries_are_loaded_does_not_wait_for_them(call, tmp_path):
    running = call.start(operation="import pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(600)\n")
    wait_until((tmp_path / "loading").exists, "libraries are being loaded")
    running.terminate()
    assert running.wait() == Exit.STOPPED
    assert json.loads((tmp_path / "job" / "result.json").read_text())["stopped"] is True


def test_what_a_former_attempt_left_is_removed(call, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    for name in ("failure.json", "result.json", "viewer_url", "progress.json"):
        (folder / name).write_text("{}")
    (folder / "checkpoint.txt").write_text("stays")
    call(operation="def train(run):\n    raise MemoryError\n")
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.txt", "failure.json", "job.json", "log.txt", "progress.json"]


def test_a_folder_of_another_job_is_left_alone(call, tmp_path):
    assert call(operation=DOES_ITS_WORK)[0] == Exit.DONE
    before = (tmp_path / "job" / "job.json").read_bytes()
    code, said = call("--set", "seed=1", operation=DOES_ITS_WORK)
    assert code == Exit.BAD_SPEC
    assert "holds another job's results" in said
    assert (tmp_path / "job" / "job.json").read_bytes() == before
    assert (tmp_path / "job" / "result.json").exists()
    assert not (tmp_path / "job" / "failure.json").exists()


@pytest.mark.parametrize("flags", [["--set", "sead=1"], ["--configPath", "absent.json"]])
def test_a_job_that_is_none_writes_nothing_into_a_folder_that_is_not_its_own(call, tmp_path, flags):
    (tmp_path / "job").mkdir()
    assert call(*flags)[0] == Exit.BAD_SPEC
    assert not any((tmp_path / "job").iterdir())


def test_a_job_json_that_is_none_is_told_in_its_folder(call, job, tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "job.json").write_text('{"v": 1, "spec": {"op": "destroy"}}')
    assert call("--configPath", "job/job.json")[0] == Exit.BAD_SPEC
    assert "give one of" in job("failure.json")["cause"]


@pytest.mark.parametrize(("flags", "told"), [
    (["--set", "sead=1"], "/sead: unknown, did you mean seed?"), (["--set", "seed"], "give --set key=value"),
    (["--configPath", "absent.json"], "absent.json cannot be read: no such file"), (["--nonsense"], "--help tells"),
    (["--set", "op=destroy"], "give one of train, adapt, eval, view, video")])
def test_a_job_that_is_none_leaves_nothing_and_is_one_line(call, tmp_path, flags, told):
    code, said = call(*flags)
    (line,) = said.splitlines()
    assert code == Exit.BAD_SPEC
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize(("error", "code"), [
    (BadMessage("bad_spec", []), Exit.BAD_SPEC), (BadUsage("x"), Exit.BAD_SPEC), (BadData("x", "y"), Exit.BAD_DATA),
    (BadInput("x"), Exit.BAD_DATA), (DiskFull("x"), Exit.RESOURCE_TAKEN), (Failure("x"), Exit.OWN_FAULT),
    (StopRequested("x"), Exit.STOPPED), (OutOfMemoryError("CUDA out of memory"), Exit.OUT_OF_MEMORY),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Exit.OUT_OF_MEMORY),
    (OSError(errno.ENOMEM, "x"), Exit.OUT_OF_MEMORY), (OSError(errno.ENOSPC, "x"), Exit.RESOURCE_TAKEN),
    (OSError(errno.EACCES, "x"), Exit.OWN_FAULT), (KeyError("x"), Exit.OWN_FAULT)])
def test_every_error_has_its_exit_code(error, code):
    assert nerf_runner.exit_code(error) is code


def test_there_is_an_operation_for_every_model():
    assert list(nerf_runner.OPERATIONS) == list(MODELS)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
