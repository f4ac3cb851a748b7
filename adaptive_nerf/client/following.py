"""Shows a job on its way until it has ended: a bar with an ETA on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from adaptive_nerf.client.event_stream import Event, EventStream
from adaptive_nerf.client.plain_text import printable, printable_lines
from adaptive_nerf.common.durations import duration
from adaptive_nerf.common.progress import SECONDS_BETWEEN_LINES
from adaptive_nerf.common.say import say
from adaptive_nerf.jobs.states import TERMINAL, Exit, State

LOOK_S, MOST_FIGURES = 0.2, 6


class Display(Protocol):
    def line(self, text: str) -> None: ...
    def progress(self, told: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


def follow(stream: EventStream, job_id: str, told: Iterable[Event]) -> int:
    """Until the end of the job; returns its exit code. `told`: what was said of it already."""
    display: Display = Bar(job_id) if sys.stderr.isatty() else Lines(job_id)
    try:
        events = list(told)
        while True:
            for event in events:
                show(event, display)
                if event.get("state") in TERMINAL:
                    return code_of(event)
            events = list(stream.of(job_id, LOOK_S))
    finally:
        display.close()


def show(event: Event, display: Display) -> None:
    name = event.get("event")
    if name == "progress":
        display.progress(event.get("progress") or {})
    elif text := line_of(event):
        display.line(text)


def line_of(event: Event) -> str:
    """What a person wants to read of an event; "" of one that says nothing new."""
    name, device = str(event.get("event")), ", ".join(map(str, event.get("device") or []))
    lines = {
        "accepted": "accepted", "queued": "waits for its turn",
        "duplicate": f"was accepted before, and is {event.get('state')}; the same job is not run twice",
        "started": f"runs on {device}" + (f", attempt {event.get('attempt')}" if event.get("attempt") != 1 else ""),
        "warning": f"warning: {event.get('message')}", "stopping": f"is asked to stop: {event.get('reason')}",
        "retry": "; ".join(filter(None, (
            f"attempt {event.get('attempt')} failed: {event.get('cause') or event.get('reason')}", event.get("hint"),
            f"the next one in {duration(event.get('retry_in_s') or 0)}"))),
        "succeeded": ", ".join(filter(None, ("is done", figures((event.get("result") or {}).get("metrics")),
                                             f"see {event.get('log_dir')}"))),
        "cancelled": "is cancelled" + (f", as was asked on {asked_at}" if (asked_at := event.get("asked_at")) else "")}
    return printable_lines(_failure(event)) if name == "failed" else printable(lines.get(name, ""))


def code_of(event: Event) -> int:
    """The exit code of a job that has ended."""
    if event.get("state") == State.SUCCEEDED:
        return Exit.DONE
    if event.get("state") == State.CANCELLED:
        return Exit.STOPPED
    code = event.get("code")
    return code if isinstance(code, int) and 0 < code < 256 else 1


def _failure(event: Event) -> str:
    tail = str(event.get("log_tail") or "").strip("\n")
    lines = [f"failed: {event.get('cause') or event.get('reason')}"]
    lines += [f"  to do: {event['hint']}"] if event.get("hint") else []
    lines += ["  its last words:", *(f"    {line}" for line in tail.splitlines())] if tail else []
    return "\n".join(lines)


def figures(metrics: Mapping[str, Any] | None) -> str:
    told = [f"{name} {value:.4g}" for name, value in (metrics or {}).items() if isinstance(value, int | float)]
    return ", ".join(told[:MOST_FIGURES])


class Bar:
    def __init__(self, job_id: str):
        self._job_id = job_id
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
                             TextColumn("{task.fields[left]}"), console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(job_id, total=None, left="")
        self._bar.start()

    def line(self, text: str) -> None:
        self._bar.console.print(f"{self._job_id} {text}", markup=False, highlight=False, soft_wrap=True)

    def progress(self, told: Mapping[str, Any]) -> None:
        left_s = told.get("eta_s")
        left = f"about {duration(left_s)} left" if left_s is not None else ""
        self._bar.update(self._task, completed=told.get("step") or 0, total=told.get("of"),
                         left=printable(" · ".join(filter(None, (left, figures(told.get("metrics")))))))

    def close(self) -> None:
        self._bar.stop()


class Lines:
    def __init__(self, job_id: str):
        self._job_id, self._said_s = job_id, float("-inf")

    def line(self, text: str) -> None:
        say(f"{self._job_id} {text}")

    def progress(self, told: Mapping[str, Any]) -> None:
        if time.monotonic() - self._said_s < SECONDS_BETWEEN_LINES:
            return
        self._said_s = time.monotonic()
        step, of = told.get("step") or 0, told.get("of")  # steps, seconds or photos: the job knows
        at = f"is at {step:g}" + (f" of {of:g}" if of else "") if step or of else "is at work"
        left = f"about {duration(told['eta_s'])} left" if told.get("eta_s") is not None else ""
        self.line(printable(", ".join(filter(None, (at, left, figures(told.get("metrics")))))))

    def close(self) -> None:
        pass
