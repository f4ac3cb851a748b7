"""The demo's steps that are commands: run one, keep what it says, leave nothing of it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from adaptive_nerf.client.demo_lines import Stage
from adaptive_nerf.common.atomic_files import make_folder
from adaptive_nerf.common.errors import BadUsage, Failure

LOOK_S, TAIL_BYTES = 0.1, 4096


def home_of(folder: Path) -> Path:
    """As an absolute path. BadUsage where the demo would find no jobs to send, after a minute of work."""
    if not (folder / "configs" / "train.json").is_file():
        raise BadUsage(f"--home {folder} holds no configs/train.json; name a clone, or copy configs/ there")
    return folder.resolve()


def exit_code_of(command: str, scripts: Path, home: Path, said: Path, stage: Stage) -> int:
    """Of `NAME.py --flags`, run in `home`; what it says goes to the end of the file `said`."""
    script, *flags = command.split()
    make_folder(said.parent)
    with said.open("ab") as stream:
        process = subprocess.Popen([sys.executable, scripts / script, *flags], cwd=home, stdin=subprocess.DEVNULL,
                                   stdout=stream, stderr=stream, start_new_session=True)
        try:
            while process.poll() is None:
                stage.at(_last_line(said))
                time.sleep(LOOK_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with its helpers; a later run makes it whole
                process.wait()
    return process.returncode


def require(command: str, scripts: Path, home: Path, said: Path, stage: Stage) -> None:
    if exit_code_of(command, scripts, home, said, stage):
        raise Failure(f"the demo stopped at: ./scripts/{command}\n{_last_line(said)}")


def _last_line(said: Path) -> str:
    with said.open("rb") as stream:
        stream.seek(max(0, said.stat().st_size - TAIL_BYTES))
        lines = stream.read().decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")
