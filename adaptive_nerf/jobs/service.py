"""The mediator: store, intake, supervisor, publisher and the windows for people, begun and ended in order.

The supervisor runs in the main thread; intake and publisher have a thread each. A thread that ends by itself ends the
service: jobs go on, and the next start takes them back.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.clock import now
from adaptive_nerf.common.errors import AdaptiveNerfError, BadUsage, DiskFull, Failure
from adaptive_nerf.common.transport import Broker
from adaptive_nerf.jobs.control import SOCKET, ControlServer
from adaptive_nerf.jobs.devices import Devices
from adaptive_nerf.jobs.disk import Disk
from adaptive_nerf.jobs.executors import LocalExecutor
from adaptive_nerf.jobs.health import Vitals
from adaptive_nerf.jobs.http import HttpServer
from adaptive_nerf.jobs.intake import Intake
from adaptive_nerf.jobs.line import Line, LineState
from adaptive_nerf.jobs.publisher import Publisher
from adaptive_nerf.jobs.recovery import recover
from adaptive_nerf.jobs.settings import Settings
from adaptive_nerf.jobs.store import Store, StoreFull
from adaptive_nerf.jobs.supervisor import Supervisor
from adaptive_nerf.jobs.views import Desk

log = logging.getLogger(__name__)
LAST_WORDS_S, IDLE_S, DISK_LOOK_S = 5.0, 5.0, 1.0
T = TypeVar("T")


class Service:
    """`run` returns when it was asked to leave, by `leave`, and has left in order."""

    def __init__(self, settings: Settings, broker: Broker):
        self.settings, self.broker = settings, broker
        self.disk = Disk(settings.state, settings.logs)
        mediator_id = self._if_need_be_without_ballast(lambda: _mediator_id(settings))
        self.store = self._if_need_be_without_ballast(lambda: Store(settings.state, mediator_id))
        self._refuse_other_logs()
        self.supervisor = Supervisor(self.store, LocalExecutor(), settings,
                                     Devices(settings.devices, settings.slots), lambda: not self.starts_nothing(),
                                     self.disk.drop_ballast)
        intake = Intake(self.store, mediator_id, settings.roots, settings.topics, self._wake)
        self.line = Line(broker, intake, self.store, settings.group_id, self._held_back)
        self.publisher = Publisher(self.store, settings.topics.of_stream, self.disk.drop_ballast)
        self.vitals = Vitals(settings, broker, self.line, self.supervisor, self.disk, self.disk_low)
        self._error: AdaptiveNerfError | None = None
        self._low, self._looked_s = "", float("-inf")
        self._news = threading.Event()  # something may be in the outbox
        self._leaving = threading.Event()  # no more messages, no more starts
        self._silent = threading.Event()  # the publisher may go
        self._hurried = False

    def run(self) -> None:
        with contextlib.ExitStack() as open_parts:
            open_parts.callback(self.store.close)
            self._if_need_be_without_ballast(lambda: recover(
                self.store, self.supervisor.executor, self.supervisor, self.settings, now()))
            if self.settings.http:
                open_parts.callback(HttpServer(self.settings.http, self.vitals.health, self.store).close)
            desk = Desk(self.store, self.settings.logs, self.vitals.status, self.starts_nothing, self._wake)
            open_parts.callback(ControlServer(self.settings.state / SOCKET, desk.answer).close)
            self._work()
        if self._error:
            raise self._error

    def leave(self) -> None:
        """Asked to stop, by a signal; asked again, it waits for nothing any more."""
        self._hurried = self._leaving.is_set()
        self._leaving.set()
        self.supervisor.bell.ring()

    def _work(self) -> None:
        """Until all is told. Whatever happens here, no thread stays behind in a service that supervises nothing."""
        publisher, intake = _Worker("publisher", self._publish, self._fall), _Worker("intake", self._take, self._fall)
        publisher.start()
        intake.start()
        try:
            self._supervise(self._leaving.is_set)
            intake.join()
            self._settle_running()
        except AdaptiveNerfError as error:
            self._fail(error)
        except Exception:
            log.exception("the supervisor has failed")
            self._fail(_failure("supervisor"))
        finally:
            self._leaving.set()
            intake.join()
            self._silent.set()
            self._news.set()
            publisher.join()

    def _supervise(self, done: Callable[[], bool]) -> None:
        while not done():
            rest_s = self.supervisor.step()
            self.vitals.beat()
            self._news.set()
            if not done():
                self.supervisor.wait(rest_s)

    def _settle_running(self) -> None:
        """What becomes of running jobs when the service stops: most go on, and the next start takes them back."""
        self.supervisor.accepting = False
        running = [live.job for live in self.supervisor.live.values()]
        stopped = [job for job in running if self.settings.at_stop == "stop" or (job.light and not job.stay)]
        try:
            for job in stopped:
                self._if_need_be_without_ballast(partial(self.store.ask_cancel, job.job_id))
        except StoreFull as error:
            log.error("the disk is full, so that jobs cannot be stopped and go on: %s", error)
            stopped = []
        waited = {job.job_id for job in (running if self.settings.at_stop == "drain" else stopped)}
        if waited:
            log.info("waiting for %d jobs to end; a second signal leaves at once", len(waited))
        self._supervise(lambda: self._hurried or not waited & self.supervisor.live.keys())
        left = len(self.supervisor.live)
        log.info("leaving; %s", f"{left} jobs go on and are taken back at the next start" if left else "no job runs")

    # --- the threads

    def _take(self) -> None:
        try:
            while not self._leaving.is_set():
                self._leaving.wait(self.line.step())
        finally:
            self.line.close()

    def _publish(self) -> None:
        sink = self.broker.sink(f"{self.store.mediator_id}.{os.getpid()}")
        until_s = float("inf")
        while time.monotonic() < until_s:
            self._news.clear()
            waiting = self.publisher.step(sink)
            if self._silent.is_set():
                until_s = min(until_s, time.monotonic() + (0.0 if self._hurried else LAST_WORDS_S))
                if not waiting:
                    break
            if not waiting:
                self._news.wait(IDLE_S)
        sink.close()

    def _fall(self, name: str, error: AdaptiveNerfError | None) -> None:
        """A thread has ended. In order, when we leave; else the service ends with it."""
        if not self._leaving.is_set():
            self._fail(error or _failure(name))
            self.leave()

    def _fail(self, error: AdaptiveNerfError) -> None:
        """The first error is the cause of those that follow it."""
        self._error = self._error or error

    # --- what the parts ask of each other

    def _wake(self) -> None:
        self.supervisor.bell.ring()
        self._news.set()

    def starts_nothing(self) -> str:
        """Why no job is started now; empty where they are."""
        return self.line.why if self.line.state is LineState.FENCED else self.disk_low()

    def _held_back(self) -> str:
        waiting = self.store.backlog()
        full = f"{waiting} jobs wait already, the most is {self.settings.backlog}"
        return self.disk_low() or (full if waiting >= self.settings.backlog else "")

    def disk_low(self) -> str:
        if time.monotonic() - self._looked_s > DISK_LOOK_S:
            self._looked_s, self._low = time.monotonic(), self.disk.low()
            if not self._low:
                self.disk.keep_ballast()
        return self._low

    # --- at the start

    def _if_need_be_without_ballast(self, work: Callable[[], T]) -> T:
        """A full disk gives back what was kept for the truth about jobs."""
        try:
            return work()
        except (StoreFull, DiskFull):
            if not self.disk.drop_ballast():
                raise
            return work()

    def _refuse_other_logs(self) -> None:
        """Jobs would be looked for in the wrong place, and those that run taken for dead."""
        for logs in {folder.parent for folder in self.store.unfinished().values()}:
            if logs.resolve() != self.settings.logs:
                self.store.close()
                raise BadUsage(f"jobs that have not ended have their folders in {logs}, not in {self.settings.logs}; "
                               f"start with --logs {logs}, and change it when they have ended")


def _failure(name: str) -> Failure:
    return Failure(f"the {name} has failed; the log tells why. Jobs go on; start again")


class _Worker(threading.Thread):
    """A thread whose end is told, whatever it was."""

    def __init__(self, name: str, work: Callable[[], None], told: Callable[[str, AdaptiveNerfError | None], None]):
        super().__init__(name=name)
        self._work, self._told = work, told

    def run(self) -> None:
        error = None
        try:
            self._work()
        except AdaptiveNerfError as caught:
            error = caught
        except Exception:  # told in the log, where people look for it
            log.exception("the %s has failed", self.name)
        finally:
            self._told(self.name, error)


def _mediator_id(settings: Settings) -> str:
    """Stable for the life of the state folder: it is the name by which the broker knows us again after a crash."""
    atomic_files.make_folder(settings.state)
    path = settings.state / "mediator_id"
    if not path.exists():
        atomic_files.write_text(path, f"mediator-{secrets.token_hex(4)}")
    return path.read_text().strip()
