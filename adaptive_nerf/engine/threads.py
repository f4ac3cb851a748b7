"""How many threads the kernels of the cpu engine use; no result of them depends on it.

Apart from torch's own (`torch.set_num_threads`): so torch's small operations can run on one thread, with sums that are
the same every time, and the kernels on all.
"""

import os

from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.errors import BadUsage

VARIABLE, MOST = "ADAPTIVE_NERF_THREADS", 1024
_chosen: list[int] = []  # what was set, if anything; the whole process shares it


def threads() -> int:
    """What was set last; else what ADAPTIVE_NERF_THREADS says; else the cores that this process may use."""
    if not _chosen:
        _chosen.append(_from_environment())
    return _chosen[0]


def set_threads(count: int) -> None:
    if count < 1:
        raise ValueError(f"the engine needs at least one thread, not {count}")
    _chosen[:] = [count]


def _from_environment() -> int:
    said = os.environ.get(VARIABLE, "").strip()
    if not said:
        return usable_cores()
    if not said.isdecimal() or not 1 <= int(said) <= MOST:
        raise BadUsage(f"{VARIABLE} is '{said}'; give a number of threads from 1 to {MOST}, or unset it")
    return int(said)
