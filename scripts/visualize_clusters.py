#!/usr/bin/env python3
"""Draws a partition of a prepared scene: a map of whose ground is whose, and photos with their experts laid over.

map.png            the ground from above in the experts' colours, striped where several share; boxes, cameras; metres
overlays/*.jpg     photos in the experts' colours, dark where a pixel belongs to nobody
contact_sheet.jpg  all those on one page
"""

from argparse import Namespace
from pathlib import Path

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, run
from adaptive_nerf.common.say import say
from adaptive_nerf.data.masks import open_partition
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.data.visualize import draw_partition

EXAMPLES = """\
  ./scripts/visualize_clusters.py --data_path data/town/out/prepared --partition g22_grid_bm105_ss20
  ./scripts/visualize_clusters.py --data_path data/drz/out/prepared --partition g22_grid_bm105_ss11 --photos 24 \\
      --output pictures --force"""


def main() -> None:
    options = _options()
    scene = open_scene(options.data_path)
    partition = open_partition(scene, options.partition)
    for warning in (*scene.warnings, *partition.warnings):
        say(f"warning: {warning}")
    output = options.output or options.data_path / "pictures" / options.partition
    for path in draw_partition(scene, partition, output, options.photos, options.force):
        print(path)


def _options() -> Namespace:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("--data_path", type=Path, required=True, help="the prepared scene")
    command.add_argument("--partition", required=True, metavar="NAME", help="a folder under the scene's masks/")
    command.add_argument("--output", type=Path, metavar="DIR",
                         help="where to (default: <data_path>/pictures/<partition>)")
    command.add_argument("--photos", type=int, default=12, metavar="N", help="overlays of so many, evenly spaced")
    command.add_argument("--force", action="store_true", help="replace the pictures that are there")
    return command.parse_args()


if __name__ == "__main__":
    run(main)
