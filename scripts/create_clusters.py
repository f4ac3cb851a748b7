#!/usr/bin/env python3
"""Divides a prepared scene among experts: which pixels of each photo train which expert, and each expert's box.

A pixel belongs to an expert if any sample along its ray is about as near to that expert's centroid as to the nearest
one: at most --boundary_margin times as far. So experts overlap, and their pictures join without a seam.
Writes <data_path>/masks/<output>/: masks <expert>/<photo>.pt, params.pt, scene_boxes.pt and .txt, inputs.json.
Lengths ending in m are metres; --scene_scale is scene units (1 is the outermost camera's distance with camera_max).
A run that was stopped or killed goes on where it was when the same command is given again; the bytes are the same.
"""

from argparse import Namespace
from functools import partial
from pathlib import Path

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.say import say
from adaptive_nerf.data.cluster_report import report_facts
from adaptive_nerf.data.clusters import Work, create_clusters, partition_folder
from adaptive_nerf.data.facts_tables import print_facts
from adaptive_nerf.data.partition import PartitionSettings, grid_of
from adaptive_nerf.data.routing import DEFAULT_CHUNK_PIXELS
from adaptive_nerf.data.scene import open_scene

EXAMPLES = """\
  ./scripts/create_clusters.py --data_path data/drz/out/prepared --grid_dim 2 2 --cluster_2d --boundary_margin 1.05 \\
      --ray_samples 256 --center_pixels --scene_scale 1.1 --output g22_grid_bm105_ss11 --resume
  ./scripts/create_clusters.py --data_path data/town/out/prepared --grid_dim 3 2 --cluster_2d --centroid_mode kmeans \\
      --center_pixels --output k6 --force"""


def main() -> None:
    options = _options()
    settings = PartitionSettings(
        grid_of(options.grid_dim), options.centroid_mode, options.cluster_2d, options.boundary_margin,
        options.ray_samples, options.center_pixels, options.scene_scale, options.altitude_pad, options.box_margin,
        options.near, options.far, options.seed)
    scene = open_scene(options.data_path)
    for warning in scene.warnings:
        say(f"warning: {warning}")
    report = create_clusters(scene, settings, partition_folder(scene, options.output),
                             Work(options.jobs, options.chunk_pixels, options.resume, options.force),
                             options.segmentation_path)
    show = print_json if options.json else partial(print_facts, "Partition")
    show(report_facts(scene, report))


def _options() -> Namespace:
    command = parser(__doc__, EXAMPLES)
    add = command.add_argument
    add("--data_path", type=Path, required=True, help="the prepared scene")
    add("--output", required=True, metavar="NAME", help="a name; the partition is written to <data_path>/masks/NAME")
    add("--grid_dim", type=int, nargs="+", required=True, metavar="N",
        help="tiles along East and South (2 numbers), or along down, East and South (3); an expert for each tile")
    add("--centroid_mode", choices=("grid", "kmeans"), default="grid",
        help="centres of equal tiles of the cameras' bounding box, or k-means of the camera positions")
    add("--cluster_2d", action="store_true", help="measure distances on the map, not in height")
    add("--boundary_margin", type=float, default=1.05, metavar="X", help="how far experts overlap; 1 is not at all")
    add("--ray_samples", type=int, default=256, metavar="N", help="samples along each ray")
    add("--center_pixels", action="store_true", help="rays through pixel centres, not their upper left corners")
    add("--scene_scale", type=float, default=1.1, metavar="X", help="half the width of the scene's box, scene units")
    add("--altitude_pad", type=float, default=10.0, metavar="M", help="m added below and above the scene")
    add("--box_margin", type=float, default=0.0, metavar="M", help="m added around each expert's box")
    for flag, what in (("--near", "start no nearer"), ("--far", "end no farther")):
        add(flag, type=float, metavar="M", help=f"rays {what} than this, m")
    add("--seed", type=int, default=0, help="of k-means")
    add("--segmentation_path", type=Path, metavar="FOLDER",
        help="label pictures 000123.png (or by original name, with its folder): pixels labelled 0 belong to nobody")
    add("--jobs", type=int, default=usable_cores(), help="processes at once")
    add("--chunk_pixels", type=int, default=DEFAULT_CHUNK_PIXELS, help="pixels worked on at once")
    add("--resume", action="store_true", help="no error if it is there already; a stopped run goes on in any case")
    add("--force", action="store_true", help="replace an existing partition of that name")
    add("--json", action="store_true", help="print one JSON object instead of a table")
    return command.parse_args()


if __name__ == "__main__":
    run(main)
