#!/usr/bin/env python3
"""Makes a prepared scene out of a COLMAP model and its photos: undistorted photos, poses in metres, train and val.

  DATA/model/   cameras, images, points3D (.bin or .txt)
  DATA/images/  the photos, under the names that the model has (sub-folders are fine)

A model in ECEF (aligned to GPS) needs --ecef_to_enu, and the scene then knows latitude and longitude. Any other model
is taken as local East, North, Up, its +Z up, --metres_per_unit metres to its unit. Photos of a lens (fisheye too) are
undistorted, pinhole photos are copied byte for byte; borders without picture go into valid/ masks.
Killed or stopped, the same command goes on where it was; the scene appears under its name only when it is whole.
"""

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.data.facts_tables import print_facts
from adaptive_nerf.data.prepare import prepare_scene
from adaptive_nerf.data.prepare_options import add_prepare_options, prepare_settings

EXAMPLES = """\
  ./scripts/prepare_dataset.py --data_path data/drz --output_path data/drz/out/prepared --val_split 0.3 --ecef_to_enu
  ./scripts/prepare_dataset.py --data_path data/room --output_path data/room/out/prepared --metres_per_unit 0.5
  ./scripts/prepare_dataset.py --data_path data/drz --output_path data/drz/out/here --ecef_to_enu \\
      --enu_ref custom --enu_ref_lat 51.4934 --enu_ref_lon 7.4208 --enu_ref_alt 130 --json"""


def main() -> None:
    command = parser(__doc__, EXAMPLES)
    add_prepare_options(command)
    options = command.parse_args()
    report = prepare_scene(prepare_settings(options))
    if options.json:
        print_json(report)
    else:
        print_facts("Prepared scene", report)


if __name__ == "__main__":
    run(main)
