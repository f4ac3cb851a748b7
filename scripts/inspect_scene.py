#!/usr/bin/env python3
"""Tells everything that a person wants to know of a prepared scene, or of a partition of it.

Photos and their sizes, where the scene lies, metres, camera heights and pitch, how much of the ground is seen and how
often, warnings; with --partition also each expert's box, its share of the pixels, and overlaps. Reads only.
"""

from argparse import Namespace
from pathlib import Path

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.data.facts_tables import print_facts
from adaptive_nerf.data.inspect import scene_facts
from adaptive_nerf.data.inspect_partition import partition_facts
from adaptive_nerf.data.scene import open_scene

EXAMPLES = """\
  ./scripts/inspect_scene.py --data_path data/town/out/prepared
  ./scripts/inspect_scene.py --data_path data/town/out/prepared --partition g22_grid_bm105_ss20
  ./scripts/inspect_scene.py --data_path data/town/out/prepared --json | jq .coverage"""


def main() -> None:
    options = _options()
    scene = open_scene(options.data_path)
    facts = {"scene": scene_facts(scene)}
    if options.partition:
        facts["partition"] = partition_facts(scene, options.partition)
    if options.json:
        print_json(facts if options.partition else facts["scene"])
        return
    for name, part in facts.items():
        print_facts(name.capitalize(), part)


def _options() -> Namespace:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("--data_path", type=Path, required=True, help="the prepared scene")
    command.add_argument("--partition", metavar="NAME", help="a folder under the scene's masks/")
    command.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return command.parse_args()


if __name__ == "__main__":
    run(main)
