"""Named places at which a test may have the process killed, as a power cut would: `ADAPTIVE_NERF_FAILPOINT=name[:n]`
kills it with SIGKILL the n-th time that it passes there. Without the variable a failpoint does nothing."""

import itertools
import os
import signal

NAME, _, TIMES = os.environ.get("ADAPTIVE_NERF_FAILPOINT", "").partition(":")
_passed = itertools.count(1)


def failpoint(name: str) -> None:
    if name == NAME and next(_passed) >= int(TIMES or 1):
        os.kill(os.getpid(), signal.SIGKILL)
