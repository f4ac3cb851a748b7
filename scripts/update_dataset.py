#!/usr/bin/env python3
"""Adds a later flight to a prepared scene: continual/<batch_tag>, in the same frame, photo ids going on.

The model may hold the later flight alone, or be the old reconstruction grown by it: photos that the scene has already
are left out, and tell whether both frames agree. A georeferenced scene wants a model in ECEF. Cameras beyond the
scene's cube (1 unit from its middle) are an error, or left out with --on_overflow clip; no camera is ever moved.
All or nothing: killed at any moment, the same command goes on or completes what is left.
"""

from argparse import Namespace
from pathlib import Path
from typing import get_args

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.data.facts_tables import print_facts
from adaptive_nerf.data.prepare_options import add_photo_options
from adaptive_nerf.data.update import UpdateSettings, update_scene
from adaptive_nerf.data.update_selection import OnOverflow

EXAMPLES = """\
  ./scripts/update_dataset.py --update_model_path data/town/event/model --image_path data/town/event/images \\
      --prepared_dir data/town/out/prepared --batch_tag event
  ./scripts/update_dataset.py --update_model_path data/drz/day2/model --image_path data/drz/day2/images \\
      --prepared_dir data/drz/out/prepared --batch_tag 2024-05-02 --on_overflow clip --json"""


def main() -> None:
    options = _options()
    report = update_scene(UpdateSettings(options.update_model_path, options.image_path, options.prepared_dir,
                                         options.batch_tag, options.on_overflow, options.metres_per_unit,
                                         options.jpeg_quality, options.skip_missing, options.force, options.jobs))
    if options.json:
        print_json(report)
    else:
        print_facts("Later flight", report)


def _options() -> Namespace:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("--update_model_path", type=Path, required=True, metavar="MODEL",
                         help="COLMAP model with the later photos: cameras, images, points3D (.bin or .txt)")
    command.add_argument("--image_path", type=Path, required=True, metavar="IMAGES", help="their photos")
    command.add_argument("--prepared_dir", type=Path, required=True, metavar="SCENE", help="the scene to add to")
    command.add_argument("--batch_tag", required=True, metavar="TAG", help="name of the flight, a folder's name")
    command.add_argument("--on_overflow", choices=get_args(OnOverflow), default="abort",
                         help="what to do about cameras outside of the scene's cube: refuse, or leave their photos out")
    command.add_argument("--metres_per_unit", type=float, default=1.0, metavar="M",
                         help="of the model, where the scene has no geo-reference; as given to prepare_dataset.py")
    add_photo_options(command)
    return command.parse_args()


if __name__ == "__main__":
    run(main)
