import platform
import subprocess
import sys

import pytest

from adaptive_nerf.common.cores import usable_cores

FAULTS_OF_TEN_ROUNDS = """
import resource
import numpy as np
from adaptive_nerf.common.memory import keep_freed_memory

keep_freed_memory()
for round_number in range(12):
    if round_number == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    parts = [np.ones(3_000_000, np.float32) for _ in range(4)]
    del parts
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_what_is_freed_serves_again():
    said = subprocess.run([sys.executable, "-c", FAULTS_OF_TEN_ROUNDS], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 1000  # fresh pages each time would be 117,000


HEAPS_OF_MANY_THREADS = """
import re
import sys
import threading
from pathlib import Path
from adaptive_nerf.common.memory import keep_freed_memory

if sys.argv[1] == "few":
    keep_freed_memory()
count = int(sys.argv[2])
together, held = threading.Barrier(count + 1), []


def hold():
    held.append(bytes(100_000))
    together.wait()


threads = [threading.Thread(target=hold) for _ in range(count)]
for thread in threads:
    thread.start()
together.wait()
# each heap but the first takes 64 MiB of addresses, aligned to as much
starts = {int(line.split("-")[0], 16) for line in Path("/proc/self/maps").read_text().splitlines()
          if re.match(r"[0-9a-f]+-[0-9a-f]+ rw-p 00000000 00:00 0 *$", line)}
print(sum(start % (64 << 20) == 0 for start in starts))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps of threads are glibc's")
def test_many_threads_share_few_heaps():
    few, many = (int(subprocess.run([sys.executable, "-c", HEAPS_OF_MANY_THREADS, how, str(5 * usable_cores())],
                                    capture_output=True, text=True, check=True).stdout) for how in ("few", "many"))
    assert few <= usable_cores() < many
