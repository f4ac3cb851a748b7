"""Jobs as people want to see them: the list, the live list, and everything about one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from adaptive_nerf.client.following import figures, line_of
from adaptive_nerf.client.plain_text import printable
from adaptive_nerf.common.durations import duration
from adaptive_nerf.common.errors import BadUsage, Failure
from adaptive_nerf.jobs.attempt_files import output_tail
from adaptive_nerf.jobs.job_folder import read_failure
from adaptive_nerf.jobs.states import State

Told = Mapping[str, Any]
STYLES = {State.RUNNING: "bold cyan", State.SUCCEEDED: "green", State.FAILED: "bold red", State.CANCELLED: "dim",
          State.STOPPING: "yellow", State.RETRY_WAIT: "yellow"}
WAITS = {State.ACCEPTED: "for the commit of its message", State.QUEUED: "for a free device and its turn",
         State.STOPPING: "for the end of its processes"}
WIDTH_IN_PIPES, BAR_CELLS, TAIL_BYTES, TAIL_LINES, LONGEST_LINE = 160, 10, 16_384, 15, 400
SECONDS_BETWEEN_LOOKS = 1.0
NARROWEST_NAME = 14  # of a job, on a line


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_IN_PIPES)


def print_list(answer: Told) -> None:
    console().print(job_table(answer))


def watch(look: Callable[[], Told]) -> None:
    """The list, again every second, until Ctrl-C."""
    if not sys.stdout.isatty():
        raise BadUsage("watch draws on a terminal; elsewhere use: ./scripts/jobs.py watch --json")
    with Live(console=console(), auto_refresh=False, screen=True) as live:
        while True:
            live.update(_looked(look), refresh=True)
            time.sleep(SECONDS_BETWEEN_LOOKS)


def watch_as_json(look: Callable[[], Told]) -> None:
    """A line a second, until Ctrl-C or the mediator's end."""
    while True:
        sys.stdout.write(json.dumps(look()) + "\n")
        sys.stdout.flush()
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _looked(look: Callable[[], Told]) -> RenderableType:
    try:
        return Group(job_table(look()), Text("Ctrl-C ends the watch, not the jobs", "dim"))
    except Failure as error:  # the mediator may come back
        return Text(str(error), "red")


def job_table(answer: Told) -> Table:
    counts = ", ".join(f"{count} {state.lower()}" for state, count in answer["counts"].items() if count)
    table = Table(box=None, pad_edge=False, caption=counts or "no jobs yet", caption_justify="left")
    for heading in ("job", "op", "state", "progress", "left", "age", "device", "why"):
        table.add_column(heading, overflow="fold", no_wrap=heading not in ("job", "why"),
                         min_width=NARROWEST_NAME if heading == "job" else None,
                         justify="right" if heading in ("left", "age") else "left")
    for job in answer["jobs"]:
        table.add_row(Text(printable(job["job_id"])), job["op"], Text(job["state"], STYLES.get(job["state"], "")),
                      share_bar(job["progress"]), _left(job),
                      duration(job["age_s"]), Text(", ".join(job["device"])),
                      Text(printable(why(job), 200), no_wrap=True, overflow="ellipsis"))
    return table


def _left(job: Told) -> str:
    return duration((job["progress"] or {}).get("eta_s")) if job["state"] == State.RUNNING else ""


def share_bar(progress: Told | None) -> str:
    share = (progress or {}).get("share")
    if share is None:
        return ""
    full = int(share * BAR_CELLS)
    return f"{'█' * full}{'░' * (BAR_CELLS - full)} {int(share * 100):3d}%"


def why(job: Told) -> str:
    """Beside the state: what went wrong, or what it waits for."""
    detail = ": ".join(filter(None, (job["reason"], job["detail"])))
    if job["state"] == State.RETRY_WAIT:
        return f"again in {duration(job['retry_in_s'])}: {detail}"
    if job["state"] == State.SUCCEEDED:
        return ""
    return "cancel asked" if job["cancel_asked"] and job["state"] != State.CANCELLED else detail


def print_job(job: Told) -> None:
    screen, folder = console(), Path(job["log_dir"])
    for name, value in facts(job).items():
        screen.print(Text.assemble((f"{name:<10}", "dim"), printable(value)), soft_wrap=True)
    screen.print(Text("\nwhat happened", "bold"))
    for event in job["history"]:
        if event["event"] != "progress":
            screen.print(Text.assemble((f"  {_clock(event['at'])}  ", "dim"), _first_line(event)), soft_wrap=True)
    tail = output_tail(folder / "attempts" / str(job["attempt"]), TAIL_BYTES).splitlines()[-TAIL_LINES:]
    if tail:
        screen.print(Text("\nits last words", "bold"))
        safe = [f"  {printable(line.expandtabs(), LONGEST_LINE)}" for line in tail]
        screen.print(Text("\n".join(safe)), soft_wrap=True)


def facts(job: Told) -> dict[str, str]:
    """Name -> value, without those that say nothing."""
    progress = job["progress"] or {}
    cause, hint = read_failure(Path(job["log_dir"])) if job["state"] == State.FAILED else ("", "")
    metrics = figures(progress.get("metrics"))
    told = {
        "job": f"{job['job_id']} ({job['op']}, priority {job['priority']}, attempt {job['attempt']})",
        "state": job["state"] + (f" ({job['reason']})" if job["reason"] else ""),
        "waits": _held_back(job) or WAITS.get(job["state"]) or _waits_to_retry(job),
        "why": cause or (job["detail"] or ""), "to do": hint,
        "device": ", ".join(job["device"]),
        "progress": _how_far(progress),
        "left": _left(job), "figures": metrics,
        "runs for": duration(job["running_s"]), "age": duration(job["age_s"]),
        "viewer": job["viewer_url"] or "", "files": job["log_dir"],
        "result": ", ".join(map(str, (job["result"] or {}).get("artifacts") or [])),
        "message": _message(job["spec"])}
    return {name: value for name, value in told.items() if value}


def _how_far(progress: Told) -> str:
    known = progress.get("share") is not None
    return f"{progress['step']:g} of {progress['of']:g} {share_bar(progress)}" if known else ""


def _held_back(job: Told) -> str:
    return f"for the service, which starts nothing now: {job['held_back']}" if job.get("held_back") else ""


def _waits_to_retry(job: Told) -> str:
    return f"for its next attempt, in {duration(job['retry_in_s'])}" if job["state"] == State.RETRY_WAIT else ""


def _message(spec: Told) -> str:
    return ", ".join(f"{name}={value}" for name, value in spec.items() if name not in ("op", "job_id"))


def _first_line(event: Told) -> str:
    return (line_of(dict(event)) or str(event["event"])).split("\n")[0]


def _clock(at: str) -> str:
    return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d %H:%M:%S}"


def print_status(status: Told) -> None:
    screen = console()
    counts: Sequence[str] = [f"{count} {state.lower()}" for state, count in status["counts"].items() if count]
    told = {"mediator": f"{status.get('mediator_id')}, process {status.get('pid')}",
            "ready": "yes" if status.get("ready") else f"no: {status.get('why') or status.get('line')}",
            "topic": f"{status.get('topic')} at {status.get('broker')}", "http": status.get("http") or "off",
            "devices": ", ".join(status.get("slots") or []), "jobs": ", ".join(counts) or "none yet",
            "unsaid": f"{status['outbox']} events wait to be published" if status.get("outbox") else ""}
    for name, value in told.items():
        if value:
            screen.print(Text.assemble((f"{name:<10}", "dim"), printable(str(value))), soft_wrap=True)
