"""Runs one job: reads it, calls its operation, leaves with an exit code that says what became of it.

The service calls it for each attempt; a person can call it too, without any service. The job is a message as in
configs/, or a job.json (jobs/job_file.py tells its format). What it writes into the job's folder: job.json (the
resolved job, and what the result depends on), log.txt, progress.json, result.json, and failure.json where it failed by
itself.

Exit codes: 0 done, 64 bad job, 65 bad data, 69 a port, device or disk is taken, 70 own fault, 75 stopped on request,
76 out of memory, 78 broken installation.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from adaptive_nerf.common import atomic_files, command_line
from adaptive_nerf.common.errors import AdaptiveNerfError, BadInput, BadUsage, DiskFull, Failure
from adaptive_nerf.common.log_setup import set_up_file
from adaptive_nerf.common.memory import keep_freed_memory, ran_out_of_memory
from adaptive_nerf.common.provenance import provenance
from adaptive_nerf.common.run_progress import Result, Run, RunProgress, StopRequested
from adaptive_nerf.common.say import say
from adaptive_nerf.jobs import job_file
from adaptive_nerf.jobs.fields import Envelope
from adaptive_nerf.jobs.job_folder import OF_ONE_ATTEMPT
from adaptive_nerf.jobs.message import BadMessage, job_of
from adaptive_nerf.jobs.states import Exit

Operation = Callable[[Run[Any]], Result]
# op -> module:function(run) -> Result; imported when it is needed, for most of them bring torch along.
OPERATIONS = {
    "train": "adaptive_nerf.pipelines.meta_training:train",
    "adapt": "adaptive_nerf.pipelines.adaptation:adapt",
    "eval": "adaptive_nerf.pipelines.evaluation:evaluate",
    "view": "adaptive_nerf.viewer.session:view",
    "video": "adaptive_nerf.pipelines.video:make_video",
}
TAKEN = {errno.EADDRINUSE, *atomic_files.OUT_OF_SPACE}
EXAMPLES = """\
  .venv/bin/python adaptive_nerf/nerf_runner.py --configPath configs/train.json --out logs/try
  .venv/bin/python adaptive_nerf/nerf_runner.py --configPath configs/view.json --out logs/look --set viewer_port=7071"""
log = logging.getLogger("adaptive_nerf.nerf_runner")


class BrokenInstallation(Failure):
    pass


class StopSignal:
    """The first SIGTERM or Ctrl-C asks politely. Before the operation is at work there is nothing to save: we leave."""

    def __init__(self) -> None:
        self.asked = self.at_work = False

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _: int, __: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C means it
        self.check()

    def check(self) -> None:
        if self.asked and not self.at_work:
            raise StopRequested("stopped before the work began")


def main() -> NoReturn:
    options = _options()
    keep_freed_memory()  # now, for a heap that a thread has once is there for ever
    try:
        sys.exit(run_job(options.configPath, options.out, options.set or []))
    except KeyboardInterrupt:
        say("stopped at once; what was not saved is lost")
        sys.exit(130)


def run_job(config: Path, out: Path, settings: list[str]) -> Exit:
    """From files to files and an exit code."""
    stop, effective = StopSignal(), dict[str, Any]()
    ours = not settings and config.resolve() == (out / job_file.NAME).resolve()  # else not before it is claimed
    try:
        stop.install()
        sent = job_file.with_settings(job_file.read_message(config), settings)
        read = job_of(sent)
        job = read.job.model_copy(update={"job_id": out.resolve().name})
        _claim(out, sent)
        ours = True
        _prepare(out, sent, job, read.warnings)
        operation = find_operation(str(sent["op"]))
        stop.install()  # again: pycolmap, which most operations bring along, takes SIGTERM for itself
        stop.check()
        stop.at_work = True
        progress = RunProgress(out / "progress.json")
        result = operation(Run(job, out, progress, lambda: stop.asked, _roots(), read.idle, effective))
        _write_result(out, result, effective)
    except Exception as error:
        code = exit_code(error)
        if code is Exit.OWN_FAULT and not isinstance(error, AdaptiveNerfError):
            log.exception("%s failed", config)
        else:
            log.error("error: %s", error)
        if isinstance(error, StopRequested) and ours:
            _tell_stop(out, error.result or Result(), effective)
        elif ours:
            _tell_failure(out, code, error)
        return code
    log.info("done: %s", out)
    return Exit.DONE


def find_operation(op: str) -> Operation:
    module, _, name = OPERATIONS[op].partition(":")
    try:
        operation: Operation = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise BrokenInstallation(f"{op} needs {error.name}, which is not installed; run make setup") from error
    except ImportError as error:
        raise BrokenInstallation(f"{op} cannot be loaded: {error}; run make setup") from error
    return operation


def exit_code(error: BaseException) -> Exit:
    """What an error means for the service: whether to try again, and when."""
    number = error.errno if isinstance(error, OSError) else None
    kinds: dict[Exit, bool] = {
        Exit.STOPPED: isinstance(error, StopRequested),
        Exit.BROKEN_INSTALLATION: isinstance(error, BrokenInstallation),
        Exit.BAD_SPEC: isinstance(error, BadMessage | BadUsage),
        Exit.RESOURCE_TAKEN: isinstance(error, DiskFull) or number in TAKEN,
        Exit.OUT_OF_MEMORY: ran_out_of_memory(error) or number == errno.ENOMEM,
        Exit.BAD_DATA: isinstance(error, BadInput)}
    return next((code for code, is_it in kinds.items() if is_it), Exit.OWN_FAULT)


def _claim(out: Path, sent: dict[str, Any]) -> None:
    """From here on the folder is this job's."""
    path = out / job_file.NAME
    if path.exists():
        job_file.check_same(path, sent)
    atomic_files.make_folder(out)


def _prepare(out: Path, sent: dict[str, Any], job: Envelope, warnings: Sequence[str]) -> None:
    set_up_file(out / "log.txt")
    for name in OF_ONE_ATTEMPT:
        (out / name).unlink(missing_ok=True)
    run = provenance()
    job_file.record_run(out / job_file.NAME, sent, job.model_dump(mode="json"), run)
    log.info("%s, process %d, commit %s", sent["op"], os.getpid(), run["commit"] or "unknown")
    for warning in warnings:
        log.warning("%s", warning)


def _write_result(out: Path, result: Result, effective: dict[str, Any], stopped: bool = False) -> None:
    told = {"v": 1, "stopped": stopped, "artifacts": list(result.artifacts), "metrics": dict(result.metrics),
            "effective": effective}
    atomic_files.write_json(out / "result.json", told)


def _tell_stop(out: Path, result: Result, effective: dict[str, Any]) -> None:
    """Whenever the stop came: who waits for result.json learns that nothing more will come."""
    try:
        _write_result(out, result, effective, stopped=True)
    except (OSError, DiskFull) as why:
        log.error("result.json could not be written: %s", why)


def _tell_failure(out: Path, code: Exit, error: Exception) -> None:
    """failure.json, where there is a folder to write it to and room for it."""
    if not out.is_dir():
        return
    cause, hint = _cause_and_hint(code, error)
    try:
        atomic_files.write_json(out / "failure.json", {"v": 1, "cause": cause, "hint": hint})
    except (OSError, DiskFull) as why:
        log.error("failure.json could not be written: %s", why)


def _cause_and_hint(code: Exit, error: Exception) -> tuple[str, str]:
    if code is Exit.OUT_OF_MEMORY:
        return "out of memory", "lower chunk_points, samples, batch_size or downscale, or give it a larger device"
    if isinstance(error, BadMessage):
        return str(error), "./scripts/job_schema.py --markdown tells every field"
    if isinstance(error, AdaptiveNerfError):
        cause, _, hint = str(error).partition("; ")
        return (cause, hint) if not hint.startswith("expected ") else (str(error), "")  # what to do is not told there
    return f"{type(error).__name__}: {error}".splitlines()[0][:400], "log.txt beside this file tells where"


def _roots() -> tuple[Path, ...]:
    named = os.environ.get("ADAPTIVE_NERF_ROOTS", "")
    return tuple(Path(root) for root in named.split(os.pathsep) if root)


def _options() -> Namespace:
    command = command_line.parser(__doc__, EXAMPLES)
    command.add_argument("--configPath", type=Path, required=True, metavar="FILE",
                         help="the job: a message or a job.json")
    command.add_argument("--out", type=Path, required=True, metavar="DIR",
                         help="the job's folder; one that holds the same job is gone on with")
    command.add_argument("--set", action="append", metavar="KEY=VALUE",
                         help="change a field of the job; may be given several times")
    try:
        return command.parse_args()
    except SystemExit as ending:
        sys.exit(Exit.BAD_SPEC if ending.code else Exit.DONE)


if __name__ == "__main__":
    main()
