"""Runs a Python program whose wall clock is off by what a file says, now; the steady clocks stay true.

    stepped_clock.py OFFSET_FILE PROGRAM [ARGUMENT...]

As when somebody, or a time server, sets the host's clock.
"""

import runpy
import sys
import time
from pathlib import Path

offset_file = Path(sys.argv[1])
true_time = time.time


def stepped() -> float:
    return true_time() + float(offset_file.read_text() or 0)


time.time = stepped
sys.argv = sys.argv[2:]
sys.path[0] = str(Path(sys.argv[0]).parent)
runpy.run_path(sys.argv[0], run_name="__main__")
