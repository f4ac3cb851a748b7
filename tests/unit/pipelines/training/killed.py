"""A training that SIGKILL ends after so many steps: python -m tests.unit.pipelines.training.killed SCENE OUT N JSON"""

import json
import os
import signal
import sys
from pathlib import Path

from adaptive_nerf.pipelines import build, joint
from adaptive_nerf.pipelines.meta_training import train
from tests.unit.pipelines.training.factory import after_steps, training_run


def main() -> None:
    scene, out, steps, fields = sys.argv[1:]
    build.CELLS_ALONG_LONGEST_SIDE = 64
    joint.REBUILD_EVERY, joint.HELD_STEPS, joint.DECAY = 2, 0, 0.6  # as lively_occupancy has them
    stop = after_steps(int(steps), lambda: bool(os.kill(os.getpid(), signal.SIGKILL)))
    train(training_run(Path(scene), Path(out), stop, **json.loads(fields)))


if __name__ == "__main__":
    main()
