"""The demo's jobs: sent as configs/ tells them, watched to their end, and not done twice."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from adaptive_nerf.client import sending
from adaptive_nerf.client.demo_lines import Stage
from adaptive_nerf.client.event_stream import Event, EventStream
from adaptive_nerf.client.following import figures
from adaptive_nerf.client.plain_text import printable
from adaptive_nerf.client.way import Way
from adaptive_nerf.common.durations import duration
from adaptive_nerf.common.errors import Failure
from adaptive_nerf.jobs.states import TERMINAL, State

ANSWER_S, PAGE_S, LOOK_S = 30.0, 90.0, 0.2
Metrics = dict[str, float]


class JobFailed(Failure):
    pass


@dataclass(frozen=True)
class Jobs:
    way: Way
    home: Path  # holds configs/ and logs/
    state: Path

    def folder(self, job_id: str) -> Path:
        return self.home / "logs" / job_id

    def forget(self, job_id: str) -> None:
        """The results of a job that is to be done anew."""
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def run(self, op: str, job_id: str, stage: Stage) -> Metrics:
        """Until it is done. JobFailed tells why it is not."""
        with self._sent(op, job_id, ()) as events:
            for event in events:
                if event.get("event") == "progress":
                    stage.at(_progress(event))
                elif event.get("state") == State.SUCCEEDED:
                    break
                elif event.get("state") in TERMINAL:
                    raise JobFailed(_why(event))
        return metrics_of(self.folder(job_id))

    def open_page(self, job_id: str, settings: Sequence[str], stage: Stage) -> str:
        """The address with its key, of a page that stays open. JobFailed where none comes."""
        address = self.folder(job_id) / "viewer_url"
        address.unlink(missing_ok=True)  # of an earlier page
        deadline_s = time.monotonic() + PAGE_S
        with self._sent("view", job_id, settings) as events:
            for event in events:
                if address.is_file():
                    return address.read_text().strip()
                if event.get("state") in {*TERMINAL, State.RETRY_WAIT}:
                    raise JobFailed(_why(event))
                if time.monotonic() > deadline_s:
                    break
                stage.at("the page is being set up")
        raise JobFailed(f"no page after {PAGE_S:g} s; {self.folder(job_id)}/log.txt tells why")

    @contextlib.contextmanager
    def _sent(self, op: str, job_id: str, settings: Sequence[str]) -> Iterator[Iterator[Event]]:
        """What the service tells of it, without end; {} while it tells nothing."""
        message = sending.message_of(self.home / "configs" / f"{op}.json", settings, job_id, datetime.now())
        with EventStream(self.way) as stream:
            sending.deliver(self.way, self.way.topics.jobs, sending.as_bytes(message))
            told = sending.answer_of(stream, job_id, ANSWER_S)
            if not told:
                raise sending.no_answer(self.way, self.state, job_id, ANSWER_S)
            yield _events(stream, job_id, told)


def is_done(folder: Path, after: Path | None = None) -> bool:
    """Whether the job has its result, and that is not older than the one it was made from."""
    result = _result(folder)
    newer = after is None or _written_at(folder) >= _written_at(after)
    return bool(result) and not result.get("stopped") and newer


def metrics_of(folder: Path) -> Metrics:
    return dict(_result(folder).get("metrics") or {})


def _result(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}


def _written_at(folder: Path) -> float:
    path = folder / "result.json"
    return path.stat().st_mtime if path.is_file() else 0.0


def _events(stream: EventStream, job_id: str, told: Sequence[Event]) -> Iterator[Event]:
    yield from told
    while True:
        yield from stream.of(job_id, LOOK_S)
        yield {}


def _progress(event: Event) -> str:
    told = event.get("progress") or {}
    left = f"about {duration(told['eta_s'])} left" if told.get("eta_s") is not None else ""
    return ", ".join(filter(None, (left, figures(told.get("metrics")))))


def _why(event: Event) -> str:
    cause = event.get("cause") or event.get("reason") or str(event.get("state")).lower()
    hint = f"; {event['hint']}" if event.get("hint") else ""
    return printable(f"{event.get('job_id')} {event.get('event')}: {cause}{hint}")
