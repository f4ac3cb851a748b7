#!/usr/bin/env python3
"""Makes a town and its second flight after an event, prepares both, partitions the scene, and draws it.

What is there already is kept: the second run starts at once. Start afresh with `rm -r data/town`.
"""

import subprocess
import sys
import time
from pathlib import Path

import _launch

from adaptive_nerf.common.command_line import parser, run
from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.say import say

TOWN = Path("data/town")
SCENE = TOWN / "out" / "prepared"
PARTITION = "g22_grid_bm105_ss20"
PICTURES = TOWN / "pictures"

STAGES = (  # what, the output that says it is done, the command
    ("a town, and a flight after a collapse", TOWN / "model", f"make_town.py --output {TOWN} --event collapse"),
    ("the scene: frames, scale, train and val", SCENE,
     f"prepare_dataset.py --data_path {TOWN} --output_path {SCENE} --val_split 0.25 --ecef_to_enu"),
    ("the partition into four experts", SCENE / "masks" / PARTITION,
     f"create_clusters.py --data_path {SCENE} --grid_dim 2 2 --cluster_2d --boundary_margin 1.05 --center_pixels "
     f"--scene_scale 2.0 --output {PARTITION}"),
    ("the later flight, in the same frame", SCENE / "continual" / "event",
     f"update_dataset.py --update_model_path {TOWN}/event/model --image_path {TOWN}/event/images "
     f"--prepared_dir {SCENE} --batch_tag event"),
    ("maps and overlays", PICTURES,
     f"visualize_clusters.py --data_path {SCENE} --partition {PARTITION} --output {PICTURES}"),
)


def main() -> None:
    parser(__doc__).parse_args()
    for what, done_when, command in STAGES:
        start = time.monotonic()
        if not (_launch.CLONE / done_when).exists():
            call(command)
            say(f"{what}: {time.monotonic() - start:.1f} s")
        else:
            say(f"{what}: there already ({done_when})")
    call(f"inspect_scene.py --data_path {SCENE} --partition {PARTITION}")
    say(f"\nphotos: {TOWN}/images and {TOWN}/event/images\nmaps:   {PICTURES}")


def call(command: str) -> None:
    script, *flags = command.split()
    path = Path(__file__).parent / script
    code = subprocess.run([sys.executable, str(path), *flags], cwd=_launch.CLONE, check=False).returncode
    if code:
        raise Failure(f"the demo stopped at: ./scripts/{command}")


if __name__ == "__main__":
    run(main)
