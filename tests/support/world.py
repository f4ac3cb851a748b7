"""A mediator with all that it needs, in a folder of its own: started, killed and started again as a process.

Nothing here looks into the mediator but from outside: its sockets, its files, its topics, its processes. At the end
every process of the folder is ended, by its number.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kafka_utils.node import free_port
from tests.support.checker import TERMINAL, Report, check
from tests.support.evidence import Evidence, Mark, boottime_ns, dump, processes_of, read_marks
from tests.support.ledger import Ledger
from tests.support.malformed import prepare_folder
from tests.support.waiting import wait_until

CLONE = Path(__file__).resolve().parents[2]
FAKE_RUNNER = CLONE / "tests" / "support" / "fake_runner.py"
GAUGE = re.compile(r"^adaptive_nerf_(\w+)(?:\{state=\"(\w+)\"\})? ([0-9.e+-]+)$", re.MULTILINE)


_numbers = itertools.count(1)


def topic_for(name: str) -> str:
    """A topic that no other test uses."""
    return f"{re.sub('[^a-z]+', '-', name.lower())[:30]}-{os.getpid()}-{next(_numbers)}"


class Mediator:
    """One life of it."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path, port: int, state: Path):
        self.process, self.said_file, self.port, self.state = process, said, port, state

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.said_file.read_text(errors="replace")

    def kill(self) -> None:
        """As a power cut would, for this one process."""
        self.process.kill()
        self.process.wait()

    def leave(self, within_s: float = 30.0) -> int:
        self.process.terminate()
        return self.wait_dead(within_s)

    def wait_dead(self, within_s: float = 30.0) -> int:
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"the mediator lives on after {within_s:g} s:\n{self.said()}") from error

    def page(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def ready(self) -> bool:
        assert self.alive(), f"the mediator ended with {self.process.returncode}:\n{self.said()}"
        return self.page("/readyz")[0] == 200

    def gauges(self) -> dict[str, float]:
        """jobs_RUNNING, backlog_jobs, outbox_records, ...; empty while it does not answer."""
        found = GAUGE.findall(self.page("/metrics")[1].decode())
        return {f"{name}_{state}" if state else name: float(value) for name, state, value in found}

    def ended(self) -> int:
        gauges = self.gauges()
        return int(sum(gauges.get(f"jobs_{state}", 0) for state in TERMINAL))

    def job(self, job_id: str) -> dict[str, Any]:
        status, content = self.page(f"/jobs/{job_id}")
        return json.loads(content) if status == 200 else {}

    def state_of(self, job_id: str) -> str:
        return str(self.job(job_id).get("state", ""))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Through the socket in the state folder."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            with short_name(self.state) as folder:
                link.connect(f"{folder}/control.sock")
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as stream:
                return json.loads(stream.readline())

    def ask_its_last(self, **request: Any) -> None:
        """It dies on this request, before or after it answers."""
        with contextlib.suppress(ConnectionError, json.JSONDecodeError):
            self.ask(**request)


@contextlib.contextmanager
def short_name(folder: Path) -> Iterator[str]:
    """Socket names have at most 107 bytes, which the folders of tests exceed."""
    descriptor = os.open(folder, os.O_PATH)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


class World:
    def __init__(self, folder: Path, broker: str, topic: str, said_in: Path | None = None):
        """`said_in`: where the mediator's own words go, when the disk under test is no place for them."""
        self.said_in = said_in or folder
        self.folder, self.broker, self.topic = folder, broker, topic
        self.group, self.port = f"group-{topic}", free_port()
        self.state, self.logs = folder / "state", folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        prepare_folder(folder)
        self.ledger = Ledger(broker, topic)
        self.lives: list[Mediator] = []

    def use_broker(self, address: str) -> None:
        """From now on senders and witnesses look there."""
        self.broker, self.ledger = address, Ledger(address, self.topic)

    # --- the mediator

    def launch(self, *flags: object, failpoint: str = "", program: Iterable[object] = (),
               env: Mapping[str, str] | None = None, broker: str = "") -> Mediator:
        """Start it and do not wait. Later flags win over the usual ones."""
        said = self.said_in / f"said.{len(self.lives)}.txt"
        usual = {"--topic": self.topic, "--broker": broker or self.broker, "--group_id": self.group,
                 "--logs": self.logs, "--state": self.state, "--root": self.folder / "data", "--runner": FAKE_RUNNER,
                 "--slots": 2, "--http": f"127.0.0.1:{self.port}", "--retry-base": 0.2, "--grace": 5}
        command = [sys.executable, *program, CLONE / "mediator.py", *(part for pair in usual.items() for part in pair),
                   *flags]
        surroundings = {**os.environ, **(env or {}), **({"ADAPTIVE_NERF_FAILPOINT": failpoint} if failpoint else {})}
        with said.open("wb") as stream:
            process = subprocess.Popen([str(part) for part in command], cwd=self.folder, env=surroundings,
                                       stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        self.lives.append(Mediator(process, said, self.port, self.state))
        return self.lives[-1]

    def start(self, *flags: object, within_s: float = 30.0, **options: Any) -> Mediator:
        mediator = self.launch(*flags, **options)
        wait_until(mediator.ready, "the mediator is ready", within_s)
        return mediator

    @property
    def mediator(self) -> Mediator:
        return self.lives[-1]

    # --- waiting

    def wait_ended(self, jobs: int, within_s: float = 60.0) -> None:
        """Until so many jobs have reached their end, and every event about them has left the outbox."""
        def settled() -> bool:
            assert self.mediator.alive(), self.mediator.said()
            return self.mediator.ended() >= jobs and self.mediator.gauges().get("outbox_records") == 0

        try:
            wait_until(settled, f"{jobs} jobs have ended", within_s, every_s=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.mediator.gauges()}\n{self.mediator.said()[-6000:]}") from error

    def wait_state(self, job_id: str, *states: str, within_s: float = 30.0) -> None:
        try:
            wait_until(lambda: self.mediator.state_of(job_id) in states, f"{job_id} is {' or '.join(states)}", within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; is {self.mediator.state_of(job_id)}\n"
                                 f"{self.mediator.said()[-6000:]}") from error

    def ended(self, job_id: str, within_s: float = 60.0) -> dict[str, Any]:
        """The job, once it has reached its end."""
        self.wait_state(job_id, *TERMINAL, within_s=within_s)
        return self.mediator.job(job_id)

    def wait_running(self, *job_ids: str, within_s: float = 30.0) -> None:
        """By the word of the runners themselves."""
        self._wait_marked("start", job_ids, within_s)

    def wait_over(self, *job_ids: str, within_s: float = 30.0) -> None:
        """By the word of the runners themselves, whether or not a mediator knows it."""
        self._wait_marked("end", job_ids, within_s)

    def _wait_marked(self, word: str, job_ids: tuple[str, ...], within_s: float) -> None:
        wait_until(lambda: set(job_ids) <= {mark.job_id for mark in self.marks() if mark.word == word},
                   f"runners of {', '.join(job_ids[:5])}: {word}", within_s)

    def let_go(self, word: str) -> None:
        """Runners that were told `until=word` go on."""
        (self.logs / f"go.{word}").touch()

    # --- what it left behind

    def marks(self, job_id: str = "") -> list[Mark]:
        """What the runners wrote themselves; of all jobs, or of one."""
        return [mark for mark in read_marks(self.logs / "runs.txt") if job_id in ("", mark.job_id)]

    def evidence(self) -> Evidence:
        return Evidence(dump(self.broker, f"{self.topic}.events"), dump(self.broker, f"{self.topic}.dead-letters"),
                        self.marks(), processes_of(self.folder), boottime_ns())

    def verdict(self, finished: bool = True) -> Report:
        entries = self.ledger.flush()
        assert not self.ledger.failures, f"the test could not send all that it wanted to: {self.ledger.failures[:5]}"
        return check(entries, self.evidence(), finished)

    def expected(self) -> int:
        """So many jobs are owed an end."""
        return len({entry.job_id for entry in self.ledger.flush() if entry.expect in ("job", "repeat")})

    def settled(self, finished: bool = True, within_s: float = 60.0) -> Report:
        """The judge's word once all is over. Processes get the 5 s that are promised, and not more."""
        if finished:
            self.wait_ended(self.expected(), within_s)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not processes_of(self.folder), "no process is left", 5.5)
        reports = [self.verdict(finished)]

        def answered() -> bool:
            if reports[-1].count("lost"):
                reports.append(self.verdict(finished))
            return not reports[-1].count("lost")

        with contextlib.suppress(AssertionError):  # what is no job has no state to wait for
            wait_until(answered, "all is answered", 10, every_s=0.2)
        return reports[-1]

    def must_be_clean(self, finished: bool = True, within_s: float = 60.0) -> Report:
        report = self.settled(finished, within_s)
        assert not report.faults, f"{report}\n{self.mediator.said()[-4000:]}"
        return report

    def events_of(self, job_id: str) -> list[dict[str, Any]]:
        told = dump(self.broker, f"{self.topic}.events")
        return [told_.event for told_ in told if told_.event["job_id"] == job_id]

    def close(self) -> None:
        for life in self.lives:
            if life.alive():
                life.kill()
        for _ in range(3):  # a shim may be about to fork
            for process in processes_of(self.folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
