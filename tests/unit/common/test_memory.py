import subprocess
import sys

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
