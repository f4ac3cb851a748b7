"""Starts jobs, watches them, stops them, tells their ends. One thread, one loop whose body is `step`.

It sleeps on the shims' process descriptors and on a bell, so that an end, a cancel or a new job is seen at once, and an
idle service does nothing. Every change goes to the store first, then to the process.
"""

from __future__ import annotations

import logging
import random
import select
from collections import Counter
from collections.abc import Callable, Iterable

from adaptive_nerf.common import clock as clocks
from adaptive_nerf.common.clock import Now
from adaptive_nerf.common.errors import BadData, BadInput
from adaptive_nerf.common.failpoints import failpoint
from adaptive_nerf.jobs import launch, retries, scheduling
from adaptive_nerf.jobs.attempt_files import Ended
from adaptive_nerf.jobs.bell import Bell
from adaptive_nerf.jobs.devices import Devices
from adaptive_nerf.jobs.endings import ending_drafts, ending_facts
from adaptive_nerf.jobs.executors import Executor, Handle, SpawnFailed
from adaptive_nerf.jobs.job_file import FolderTaken
from adaptive_nerf.jobs.job_folder import attempt_folder, job_folder, read_result
from adaptive_nerf.jobs.message import BadMessage
from adaptive_nerf.jobs.processes import StillAlive
from adaptive_nerf.jobs.records import Draft, Job
from adaptive_nerf.jobs.settings import Settings
from adaptive_nerf.jobs.states import LIVE, Exit, Reason, State
from adaptive_nerf.jobs.store import Store, StoreFull
from adaptive_nerf.jobs.watch import Live

log = logging.getLogger(__name__)
AT_MOST_STARTED = 64  # in one step; what waits behind them comes with the next
LOOK_S, ASK_AGAIN_S, IDLE_S, KILL_AFTER_GRACE_S, UNBURIED_REST_S = 0.5, 1.0, 30.0, 10.0, 60.0


class Supervisor:
    def __init__(self, store: Store, executor: Executor, settings: Settings, devices: Devices,
                 may_start: Callable[[], bool], on_full: Callable[[], object], clock: Callable[[], Now] = clocks.now):
        self.store, self.executor, self.settings, self.devices = store, executor, settings, devices
        self.may_start, self.on_full, self.clock = may_start, on_full, clock
        self.bell = Bell()
        self.ended = Counter[str]()  # attempts since the start, by reason
        self.live: dict[str, Live] = {}
        self.unburied: dict[str, Job] = {}  # without a live attempt, but their end could not be told yet
        self._bury_at_steady_s = 0.0
        self.accepting = True  # False while the service waits for running jobs to end

    def step(self) -> float:
        """Do what is due; returns for how many seconds at most nothing else is."""
        moment = self.clock()
        self.bell.quiet()
        try:
            self._end_finished()
            self._bury_rest(moment)
            self._watch(moment)
            self._stop_cancelled(moment)
            due_s = self._requeue(moment)
            if self.accepting and not (self.may_start() and self._start_waiting(moment)):
                due_s = min(due_s, ASK_AGAIN_S)
        except StoreFull as error:
            self.on_full()
            log.error("the disk is full: %s; running jobs go on, their ends are told when there is room", error)
            return LOOK_S
        return min(due_s, LOOK_S if self.live else IDLE_S)

    def wait(self, limit_s: float) -> None:
        """Until a shim ends, somebody rings, or the time is over."""
        poll = select.poll()
        poll.register(self.bell, select.POLLIN)
        for live in self._watched():
            poll.register(live.handle.pidfd, select.POLLIN)
        poll.poll(limit_s * 1000)

    def _watched(self) -> list[Live]:
        steady_s = self.clock().steady_s
        return [live for live in self.live.values() if live.rest_until_steady_s <= steady_s]

    def adopt(self, job: Job, handle: Handle, now: Now) -> None:
        """An attempt that runs already."""
        warned = {str(event.get("message")) for event in self.store.history(job.job_id) if event["event"] == "warning"}
        live = self.live[job.job_id] = Live(job, handle, moved_steady_s=now.steady_s, told_warnings=warned)
        if job.state is State.STOPPING:  # whether the request had reached it is unknown; a second one changes nothing
            self._stop(live, job.reason or Reason.CANCELLED, now)

    # --- starting

    def _start_waiting(self, now: Now) -> bool:
        """Whether no job waits any more. Room on the disk or on a GPU rings no bell, so it is asked for again."""
        waiting = self.store.waiting(AT_MOST_STARTED)
        if not waiting:
            return True
        held = {name for job in self.store.jobs(LIVE) for name in job.slots}
        slots = self.devices.look()
        for job in waiting:
            if why := scheduling.impossible(job, slots, self.settings.light_slots):
                self._refuse(job, *why)
        placements = scheduling.choose(waiting, held, slots, self.settings.light_slots)
        for placement in placements:
            self._start(placement, now)
        return len(placements) == len(waiting)

    def _refuse(self, job: Job, why: str, hint: str) -> None:
        self.store.move(job, State.FAILED, Draft("failed", {"cause": why, "hint": hint}),
                        reason=Reason.NO_DEVICE, detail=why)
        log.warning("%s failed: %s", job.job_id, why)

    def _start(self, placement: scheduling.Placement, now: Now) -> None:
        names = tuple(slot.name for slot in placement.slots)
        warning = [Draft("warning", {"message": placement.warning})] if placement.warning else []
        job = self.store.begin_attempt(placement.job, names, launch.new_nonce(), *warning)
        if job is None:
            return  # cancelled in this very moment
        failpoint("before_spawn")
        try:
            handle = self.executor.start(launch.prepare(job, placement, self.settings))
        except (FolderTaken, BadMessage, BadData) as error:  # its folder holds what is not its own
            self._never_began(job, Ended(Exit.BAD_DATA, None, None, 0, 0), str(error))
            return
        except (SpawnFailed, BadInput, OSError) as error:
            self._never_began(job, Ended.never(str(error)), str(error))
            return
        failpoint("after_spawn")
        live = self.live[job.job_id] = Live(job, handle, moved_steady_s=now.steady_s)
        self._tell_started(live)
        log.info("%s started: attempt %d on %s", job.job_id, job.attempt, ", ".join(names))
        failpoint("running")

    def _tell_started(self, live: Live) -> None:
        live.job = self.store.move(live.job, State.RUNNING, Draft("started")) or live.job

    def _never_began(self, job: Job, ended: Ended, why: str) -> None:
        self.unburied[job.job_id] = job  # a full disk may put off what is told here
        self._settle(job, ended, None, why)
        del self.unburied[job.job_id]

    # --- watching

    def _watch(self, now: Now) -> None:
        for live in list(self.live.values()):
            if live.job.state is State.STARTING:  # of a former life, or the disk was full when it began
                self._tell_started(live)
            self._tell_progress(live, now)
            if reason := live.overdue(now.steady_s):
                self._stop(live, reason, now)
            if now.steady_s > live.kill_at_steady_s:
                log.error("the shim of %s does not obey; everything of the attempt is killed", live.job.job_id)
                self.executor.kill(live.handle)
                live.kill_at_steady_s = now.steady_s + KILL_AFTER_GRACE_S

    def _tell_progress(self, live: Live, now: Now) -> None:
        progress = live.new_progress(job_folder(self.settings.logs, live.job.job_id), now.steady_s)
        if progress is None:
            return
        fresh = [text for text in progress.warnings if text not in live.told_warnings]
        live.told_warnings.update(fresh)
        drafts = [Draft("progress"), *(Draft("warning", {"message": text}) for text in fresh)]
        changed = self.store.tell(live.job, *drafts, progress=progress.shown, url=progress.url)
        live.job = changed or live.job

    # --- stopping

    def _stop_cancelled(self, now: Now) -> None:
        for job in self.store.jobs(LIVE):
            live = self.live.get(job.job_id)
            if live is None or not job.cancel_asked:
                continue
            live.job = job
            if live.stop_reason is not Reason.CANCELLED:
                failpoint("cancel_stored")
                self._stop(live, Reason.CANCELLED, now)

    def _stop(self, live: Live, reason: Reason, now: Now) -> None:
        if live.job.state is not State.STOPPING:
            live.job = self.store.move(live.job, State.STOPPING, Draft("stopping"), reason=reason) or live.job
        log.info("%s is asked to stop: %s", live.job.job_id, reason)
        live.stop_reason = reason
        self.executor.stop(live.handle)
        live.kill_at_steady_s = now.steady_s + self.settings.grace_s + KILL_AFTER_GRACE_S
        failpoint("term_sent")

    # --- endings

    def _end_finished(self) -> None:
        for live in self._ended():
            failpoint("exit_seen")
            self._tell_progress(live, self.clock())  # the last word before the end
            try:
                ended = self.executor.reap(live.handle)
            except StillAlive as error:  # it counts as running, and nothing else waits for it
                log.error("%s: %s", live.job.job_id, error)
                live.rest_until_steady_s = self.clock().steady_s + UNBURIED_REST_S
                continue
            self._settle(live.job, ended, live.stop_reason)
            live.handle.close()
            del self.live[live.job.job_id]

    def _ended(self) -> Iterable[Live]:
        poll = select.poll()
        by_descriptor = {live.handle.pidfd: live for live in self._watched()}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        return [by_descriptor[descriptor] for descriptor, _ in poll.poll(0)] if by_descriptor else []

    def _settle(self, job: Job, ended: Ended | None, stop_reason: Reason | None, why: str = "") -> None:
        job = self.store.job(job.job_id) or job
        if job.cancel_asked:
            stop_reason = Reason.CANCELLED
        verdict = retries.verdict(job, ended, stop_reason, random.random(), self.settings.retry_base_s)
        folder = job_folder(self.settings.logs, job.job_id)
        facts = ending_facts(job, verdict, why, self.settings.logs)
        moved = self.store.move(
            job, verdict.state, *ending_drafts(verdict, facts), reason=verdict.reason, code=verdict.code,
            detail=facts.detail, result=read_result(folder) if verdict.state is State.SUCCEEDED else None,
            faults=verdict.faults, not_before_steady_s=self.clock().steady_s + verdict.delay_s)
        self.ended[verdict.reason] += 1
        log.info("%s %s: %s%s", job.job_id, moved.state if moved else "is elsewhere", verdict.reason,
                 facts.detail and f", {facts.detail}")
        self.bell.ring()  # a slot is free

    def bury(self, job: Job) -> None:
        """An attempt that ended while no mediator ran."""
        try:
            ended = self.executor.finish(attempt_folder(self.settings.logs, job.job_id, job.attempt), job.nonce)
        except StillAlive as error:  # it counts as running
            log.error("%s: %s", job.job_id, error)
            self.unburied[job.job_id] = job
            return
        self._settle(job, ended, job.reason if job.state is State.STOPPING else None)
        self.unburied.pop(job.job_id, None)

    def _bury_rest(self, now: Now) -> None:
        if self.unburied and now.steady_s > self._bury_at_steady_s:
            self._bury_at_steady_s = now.steady_s + UNBURIED_REST_S
            for job in list(self.unburied.values()):
                self.bury(job)

    def _requeue(self, now: Now) -> float:
        """Waiting retries whose time has come; returns the seconds to the next."""
        for job in self.store.due(now.steady_s):
            self.store.move(job, State.QUEUED, Draft("queued"))
        next_steady_s = self.store.next_due_steady_s()
        return IDLE_S if next_steady_s is None else min(IDLE_S, max(0.0, next_steady_s - now.steady_s))
