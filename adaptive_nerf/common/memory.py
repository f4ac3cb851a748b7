"""Memory of the process: what is freed serves again, and whether it was memory that ran out."""

import ctypes

from adaptive_nerf.common.cores import usable_cores

MMAP_THRESHOLD, TRIM_THRESHOLD, ARENA_MAX = -3, -1, -8  # names of mallopt
SERVES_AGAIN, KEPT = 32 << 20, 256 << 20  # bytes: blocks up to which, and how much of them at most


def keep_freed_memory() -> None:
    """Instead of giving it back to the system at every turn: a fresh page costs more than what is written to it.

    In few heaps: glibc gives each thread its own, up to eight a core, and what one of them keeps serves no other. With
    eight people before the page that was a tenth of all memory, and it grew for six minutes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, SERVES_AGAIN)
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(ARENA_MAX, usable_cores() + 1)


def ran_out_of_memory(error: BaseException) -> bool:
    """Python's and numpy's own error, and torch's, known by name: the service knows no torch."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "allocate memory" in str(error)
