"""A mediator killed just before or after it spawns: the attempt is there in full, or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adaptive_nerf.jobs.executors import Handle
from tests.support.attempts import Attempts
from tests.support.failpoints import RIGHT_AFTER_THE_SPAWN, RIGHT_BEFORE_THE_SPAWN

SLEEP = "import time; time.sleep(600)"
MEDIATOR = """
import sys
from pathlib import Path
from adaptive_nerf.jobs.attempt_files import Order
from adaptive_nerf.jobs.executors import LocalExecutor
folder, nonce, program = sys.argv[1:]
argv = (sys.executable, "-I", "-S", "-c", program)
LocalExecutor().start(Order("job", 1, nonce, Path(folder), argv, {}, Path(folder).parent, 5.0))
"""


@pytest.fixture
def attempts(tmp_path):
    made = Attempts(tmp_path)
    yield made
    made.clear()


def play_mediator(order, clone: Path, failpoint: str) -> None:
    """A process that starts an attempt and is killed there, as by kill -9."""
    env = {**os.environ, "PYTHONPATH": str(clone), "ADAPTIVE_NERF_FAILPOINT": failpoint}
    order.folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", MEDIATOR, str(order.folder), order.nonce, order.argv[-1]]
    assert subprocess.run(command, env=env, check=False).returncode == -signal.SIGKILL


def test_a_mediator_killed_right_after_the_spawn_leaves_an_attempt_that_is_found_and_ends(attempts, clone, tmp_path):
    seen = tmp_path / "seen"
    order = attempts.order(f"import os\nwhile not os.path.exists({str(seen)!r}): pass\nraise SystemExit(65)")
    play_mediator(order, clone, RIGHT_AFTER_THE_SPAWN)
    handle = attempts.executor.find(order.folder, order.nonce)
    assert isinstance(handle, Handle)
    seen.touch()
    attempts.handles.append(handle)
    assert attempts.end(handle).code == 65


def test_a_mediator_killed_right_before_the_spawn_leaves_nothing(attempts, clone):
    order = attempts.order(SLEEP)
    play_mediator(order, clone, RIGHT_BEFORE_THE_SPAWN)
    assert attempts.executor.find(order.folder, order.nonce) is None
    attempts.handles.append(attempts.executor.start(order))  # and the folder can be used
