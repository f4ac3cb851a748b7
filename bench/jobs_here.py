"""Trainings for benches: run as jobs by the runner, in a process of their own, watched from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.common.errors import Failure
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.model import Model

RUNNER = Path(__file__).resolve().parent.parent / "adaptive_nerf" / "nerf_runner.py"


@dataclass(frozen=True)
class Trained:
    folder: Path
    first_step_s: float  # from the start of the process to the first step
    peak_gb: float  # of its memory

    @property
    def checkpoint(self) -> Checkpoint:
        return open_checkpoint(CheckpointStore.of_job(self.folder).find("last"))

    def model(self) -> Model:
        return self.checkpoint.load()


def train(out: Path, spec: dict[str, object]) -> Trained:
    out.mkdir()
    config = out.with_suffix(".json")
    config.write_text(json.dumps(spec))
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, str(RUNNER), "--configPath", str(config), "--out", str(out)],
                               stdin=subprocess.DEVNULL)
    first_step_s = _wait_for_first_step(out / "progress.json", process, began)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise Failure(f"a training failed with code {os.waitstatus_to_exitcode(status)}; see {out / 'log.txt'}")
    return Trained(out, first_step_s, usage.ru_maxrss * 1024 / 1e9)


def _wait_for_first_step(path: Path, process: subprocess.Popen[bytes], began: float) -> float:
    while process.poll() is None:
        if path.exists() and json.loads(path.read_bytes()).get("metrics"):
            return time.monotonic() - began
        time.sleep(0.02)
    raise Failure(f"a training ended before its first step; see {path.parent / 'log.txt'}")
