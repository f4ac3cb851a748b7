"""Lets `./scripts/NAME.py` run from a clone without activating anything: re-executes in .venv where there is one."""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
PYTHON = CLONE / ".venv" / "bin" / "python"

program = Path(sys.argv[0])
if program.is_file() and program.resolve().parent in (CLONE, CLONE / "scripts"):  # and not imported by a test
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while libraries are imported Ctrl-C just ends; `run` takes over

if PYTHON.exists() and Path(sys.prefix) != CLONE / ".venv":
    os.execv(PYTHON, [str(PYTHON), *sys.argv])
if any(find_spec(name) is None for name in ("adaptive_nerf", "confluent_kafka")):  # the first lies in a clone
    sys.exit("error: the project is not set up in this Python; run `make setup` in the clone first")
