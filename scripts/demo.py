#!/usr/bin/env python3
"""The whole system on a made town: a survey, a collapse, a second flight; trained, viewed, adapted, scored over Kafka.

Everything runs on this machine and nothing is fetched: the broker is a built-in one. What is there already is kept, so
the second run starts at once. Afresh: rm -r data/town logs/example logs/demo-*
"""

import time
from pathlib import Path

import _launch

from adaptive_nerf.client.demo_commands import exit_code_of, home_of, require
from adaptive_nerf.client.demo_jobs import Jobs
from adaptive_nerf.client.demo_lines import stage, tell
from adaptive_nerf.client.demo_service import Service
from adaptive_nerf.client.demo_story import ending, open_page, stay_until_interrupted, train_adapt_eval
from adaptive_nerf.client.interrupts import other_signals_interrupt
from adaptive_nerf.common.command_line import parser, run

EXAMPLES = """\
  ./scripts/demo.py                       # until Ctrl-C, which ends all that it started
  ./scripts/demo.py --no_wait             # ends when all is done"""
TOWN = Path("data/town")
SCENE = TOWN / "out" / "prepared"
PARTITION = "g22_grid_bm105_ss20"
PICTURES = TOWN / "pictures"

STEPS = (  # what, the output that says it is done, the command
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
    flags = parser(__doc__, EXAMPLES)
    flags.add_argument("--no_wait", action="store_true", help="end when all is done, instead of with Ctrl-C")
    flags.add_argument("--home", type=Path, default=_launch.CLONE, metavar="DIR",
                       help="a folder with configs/, in which data/ and logs/ are made")
    given = flags.parse_args()
    other_signals_interrupt()
    began = time.monotonic()
    home = home_of(given.home)
    prepare(home, service := Service(home, _launch.CLONE / "mediator.py"))
    with service.running() as way:
        jobs = Jobs(way, home, service.state)
        page = open_page(jobs)
        train_adapt_eval(jobs)
        tell(ending(jobs, page, {"photos": TOWN / "event" / "images", "maps": PICTURES}, time.monotonic() - began))
        if not given.no_wait:
            stay_until_interrupted()
    tell("ended; no process is left")


def prepare(home: Path, service: Service) -> None:
    where = Path(__file__).parent, home, service.said
    with stage("this machine") as now:
        if (home / SCENE).exists():
            now.note = "looked at before; again: ./scripts/doctor.py"
        elif exit_code_of("doctor.py", *where, now):
            now.note = "something is wrong; ./scripts/doctor.py tells what"
    for what, done_when, command in STEPS:
        with stage(what) as now:
            if (home / done_when).exists():
                now.note = f"there already ({done_when})"
            else:
                require(command, *where, now)


if __name__ == "__main__":
    run(main)
