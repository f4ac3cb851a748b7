"""What this machine can do at most, probed in about a second: peak FMA, random loads, stream. All cores together.

Benches divide by these, taken in the same run: a share of the roofline compares machines, a bare rate does not.
`.venv/bin/python -m bench.roofline` prints them. Needs a C++ compiler ($CXX, c++, g++ or clang++).
"""

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from adaptive_nerf.common.command_line import run
from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.errors import Failure
from adaptive_nerf.engine.cpu.build import compiler
from bench.harness import Figure, arguments, report

SOURCE = Path(__file__).with_suffix(".cpp")
TABLE_BYTES = 4 << 20  # one level of a hash grid: 2^19 entries of two floats
SECONDS_EACH = 0.25


@dataclass(frozen=True)
class Roofline:
    flops_per_s: float  # fp32
    random_loads_per_s: float  # 8 bytes each, from a 4 MiB table a core
    stream_bytes_per_s: float

    def figures(self) -> list[Figure]:
        return [Figure("peak_fma_gflops", self.flops_per_s / 1e9, "GFLOP/s"),
                Figure("random_loads_m_per_s", self.random_loads_per_s / 1e6, "M loads/s"),
                Figure("stream_gb_per_s", self.stream_bytes_per_s / 1e9, "GB/s")]


def probe() -> Roofline:
    library = _compiled()
    return Roofline(*(_on_all_cores(call) for call in (
        lambda: library.peak_flops(ctypes.c_double(SECONDS_EACH)),
        lambda: library.random_loads(ctypes.c_double(SECONDS_EACH), ctypes.c_long(TABLE_BYTES)),
        lambda: library.stream_read(ctypes.c_double(SECONDS_EACH)))))


def _on_all_cores(call: Callable[[], float]) -> float:
    """The sum over one thread a core; ctypes lets go of Python's lock during a call."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        return sum(pool.map(lambda _: call(), range(usable_cores())))


def _compiled() -> ctypes.CDLL:
    found = compiler()
    if found is None:
        raise Failure("the roofline probe needs a C++ compiler; on Debian: apt-get install g++")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "roofline.so"
        # Never -ffast-math: loading such a library makes the whole process flush subnormal numbers to zero.
        subprocess.run([*found, "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", str(SOURCE), "-o",
                        str(target)], check=True)
        library = ctypes.CDLL(str(target))
    for name in ("peak_flops", "random_loads", "stream_read"):
        getattr(library, name).restype = ctypes.c_double
    return library


def main() -> None:
    options = arguments(__doc__).parse_args()
    report("roofline", probe().figures(), options.json)


if __name__ == "__main__":
    run(main)
