"""A mediator with a broker of its own, for as long as the demo lasts.

Both are gone when the demo ends, with every job. A demo that was killed leaves them; the next one ends what it finds.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.client.way import Way, status_of
from adaptive_nerf.common.atomic_files import make_folder
from adaptive_nerf.common.errors import BadUsage, Failure
from adaptive_nerf.jobs.settings import Topics
from kafka_utils.node import free_port
from kafka_utils.processes import end, identify
from kafka_utils.settings import client_settings

TOPIC = "nerfConfigs"
GRACE_S, START_S, STOP_S, LOOK_S = 15, 60.0, 40.0, 0.1
LAST_WORDS = 800  # characters


@dataclass(frozen=True)
class Service:
    """Where it lies: `home` is the folder that relative paths of jobs are meant from."""

    home: Path
    mediator: Path  # the program

    @property
    def state(self) -> Path:
        return self.home / ".state" / "demo"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def said(self) -> Path:
        return self.logs / "demo.txt"

    @contextlib.contextmanager
    def running(self) -> Iterator[Way]:
        """The way to it."""
        with _alone(self.state):
            self._end_earlier()
            with self._started() as way:
                yield way

    @contextlib.contextmanager
    def _started(self) -> Iterator[Way]:
        process = self._start()
        try:
            yield self._way(process)
        finally:
            _stop(process)
            _forget(self.state)

    def _end_earlier(self) -> None:
        """What a demo left that was killed. Where its mediator was killed too, a new one ends the jobs."""
        pid = status_of(self.state).get("pid")
        mediator = identify(pid) if isinstance(pid, int) else None
        if mediator is not None:
            if not end(mediator, signal.SIGTERM, STOP_S):
                raise Failure(f"the mediator of an earlier demo does not end; end it with: kill -9 {pid}")
            _forget(self.state)
        elif any(self.state.iterdir()):
            with self._started():
                pass

    def _start(self) -> subprocess.Popen[bytes]:
        make_folder(self.logs)
        command = [sys.executable, self.mediator, "--topic", TOPIC, "--broker", "embedded", "--state", self.state,
                   "--logs", self.logs, "--http", f"127.0.0.1:{free_port()}", "--grace", GRACE_S, "--stop-jobs"]
        with self.said.open("ab") as said:  # a session of its own: Ctrl-C is for us, not for it
            return subprocess.Popen([str(part) for part in command], cwd=self.home, stdin=subprocess.DEVNULL,
                                    stdout=said, stderr=said, start_new_session=True)

    def _way(self, process: subprocess.Popen[bytes]) -> Way:
        def ready() -> bool:
            if process.poll() is not None:
                raise Failure(f"the mediator ended with {process.returncode}; {self.said} ends with:\n{self._words()}")
            return bool(status_of(self.state).get("ready"))

        if not _within(START_S, ready):
            raise Failure(f"the mediator is not ready after {START_S:g} s; {self.said} tells why")
        address = str(status_of(self.state)["broker"])
        return Way(Topics(TOPIC), address, client_settings(address, None))

    def _words(self) -> str:
        return self.said.read_text(errors="replace")[-LAST_WORDS:].strip()


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    make_folder(state)
    with state.with_name(f"{state.name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadUsage("a demo runs already in this folder; end it with Ctrl-C, where it was started") from error
        yield


def _stop(process: subprocess.Popen[bytes]) -> None:
    """It stops its jobs, each with a checkpoint, and its broker."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise Failure("the service did not end in time and was killed; run the demo again to end what is left of its "
                      "jobs") from error


def _forget(state: Path) -> None:
    """No job is left, and what was stopped can be sent again: a training then goes on from its checkpoint."""
    shutil.rmtree(state)
    make_folder(state)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(LOOK_S)
    return True
