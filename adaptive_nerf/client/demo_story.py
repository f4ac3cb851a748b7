"""What the demo has the service do, in its order, and what it tells about it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from adaptive_nerf.client.demo_jobs import Jobs, is_done, metrics_of
from adaptive_nerf.client.demo_lines import stage, tell
from adaptive_nerf.client.interrupts import wait_for_interrupt
from adaptive_nerf.common.durations import duration
from adaptive_nerf.common.errors import AdaptiveNerfError
from kafka_utils.node import free_port

TRAINED, ADAPTED, SCORED = "example", "demo-adapt", "demo-eval"  # names of the jobs, and of their folders in logs/
USUAL_PORT = 7070
REPORT = "report.html"
HOW_TO_STOP = "Ctrl-C ends all of it, this page too; the same command again goes on"


def open_page(jobs: Jobs) -> str:
    """Its address with its key; "" where there is no page, which is no reason to stop."""
    port = USUAL_PORT if _is_free(USUAL_PORT) else free_port()
    settings = ["follow=true", f"checkpoint_path={TRAINED}", f"viewer_port={port}"]
    page = ""
    with stage("view: a page that follows the training") as now:
        try:
            page = jobs.open_page(f"demo-view-{port}", settings, now)
        except AdaptiveNerfError as error:
            now.note = "no page: " + " ".join(str(error).split())
    if page:
        tell(f"\n  look at it now: {page}\n  {HOW_TO_STOP}\n")
    return page


def train_adapt_eval(jobs: Jobs) -> None:
    for what, op, job_id, made_from in (("train: four experts learn the town", "train", TRAINED, None),
                                        ("adapt: they absorb the second flight", "adapt", ADAPTED, TRAINED),
                                        ("eval: scores, before and after", "eval", SCORED, TRAINED)):
        folder = jobs.folder(job_id)
        with stage(what) as now:
            if is_done(folder, jobs.folder(made_from) if made_from else None):
                now.note = f"there already (logs/{job_id})"
            else:
                if made_from is not None:
                    jobs.forget(job_id)
                now.note = in_short(op, jobs.run(op, job_id, now))


def in_short(op: str, told: Mapping[str, float]) -> str:
    """What a job's metrics say, in a few words."""
    lines = {
        "train": f"{told.get('steps', 0):.0f} steps, {_db(told, 'val_psnr_db')} on photos that it did not learn from",
        "adapt": f"{told.get('steps', 0):.0f} steps in {told.get('seconds', 0):.1f} s",
        "eval": f"{told.get('photos_scored', 0):.0f} photos scored, {told.get('photos_adapted', 0):.0f} others learned"}
    return lines[op]


def ending(jobs: Jobs, page: str, pictures: Mapping[str, Path], took_s: float) -> str:
    told = metrics_of(jobs.folder(SCORED))
    last = max((int(name.rpartition("_")[2]) for name in told if name.startswith("neutral_db_")), default=0)
    lines = [
        "", f"The second flight, on photos that were held back, before and after {last} steps of adaptation:",
        f"  whole photos        {_db(told, 'neutral_db_0')} -> {_db(told, f'neutral_db_{last}')}",
        f"  what had changed    {_db(told, 'changed_neutral_db_0')} -> {_db(told, f'changed_neutral_db_{last}')}",
        f"  the rest of them    {_db(told, 'unchanged_neutral_db_0')} -> {_db(told, f'unchanged_neutral_db_{last}')}",
        "", f"report    {jobs.folder(SCORED) / REPORT}",
        *(f"{name:<9} {jobs.home / folder}" for name, folder in pictures.items()),
        *([f"page      {page}", "          tab Adapt: choose event, Start, and see it change; then Compare"]
          if page else []),
        f"all of it took {duration(took_s)}"]
    return "\n".join(lines)


def stay_until_interrupted() -> None:
    tell("\nCtrl-C ends the page and the service")
    wait_for_interrupt()
    tell()


def _db(told: Mapping[str, float], name: str) -> str:
    return f"{told[name]:.1f} dB" if name in told else "unknown"


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the page itself does
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
