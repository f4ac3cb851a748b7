#!/usr/bin/env python3
"""Make a small procedural town and fly a drone over it, twice: before and after something happened there.

Nothing is downloaded. The same seed and settings give the same bytes, with any number of processes.
Written to --output:
  images/*.jpg          the photos; truth/metadata.json tells their poses, exposures and settings
  model/*.bin           a COLMAP model in ECEF (WGS84): exact poses, points seen by two photos or more
  truth/NNN_depth.npy   metres along the optical axis, NaN where nothing is seen (NNN: the photo's rank by name)
  truth/NNN_normal.npy  unit normals in camera axes right, up, back;  NNN_mask.npy: where a surface is seen
  truth/NNN_change.npy  true where the event changed what the photo shows
  event/                the same for the second flight, after the event (not with --event none)
A run that was stopped goes on where it was when the same command is given again.
"""

from pathlib import Path
from typing import get_args

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.synth.events import EVENTS
from adaptive_nerf.synth.flights import Pattern
from adaptive_nerf.synth.town import TownRequest, make_town

EXAMPLES = """  ./scripts/make_town.py --output data/town
  ./scripts/make_town.py --output data/flooded --event flood --seed 7 --size 200 150 --photos 80
  ./scripts/make_town.py --output data/tiny --photos 6 --resolution 96 72 --event none --force"""


def main() -> None:
    default = TownRequest()
    flags = parser(__doc__, EXAMPLES)
    flags.add_argument("--output", type=Path, required=True, help="the folder to make")
    flags.add_argument("--seed", type=int, default=default.seed, help="which town: any whole number from 0")
    flags.add_argument("--size", type=float, nargs=2, default=default.size_m, metavar=("EAST", "NORTH"),
                       help="of the town, in metres")
    flags.add_argument("--photos", type=int, default=default.photos, help="in the first flight")
    flags.add_argument("--event_photos", type=int, default=default.event_photos, help="in the flight after the event")
    flags.add_argument("--resolution", type=int, nargs=2, default=default.resolution, metavar=("WIDTH", "HEIGHT"),
                       help="of a photo, in pixels")
    flags.add_argument("--altitude", type=float, default=default.altitude_m, help="of the drone, in metres")
    flags.add_argument("--flight", choices=get_args(Pattern), default=default.flight,
                       help="lines that look down, a circle that looks in, or both")
    flags.add_argument("--event", choices=("none", *EVENTS), default=default.event,
                       help="what happens between the flights")
    flags.add_argument("--exposure_jitter", type=float, default=default.exposure_jitter,
                       help="how much the exposure varies between photos: standard deviation in stops, 0 for none")
    flags.add_argument("--jobs", type=int, default=usable_cores(), help="processes")
    flags.add_argument("--force", action="store_true", help="replace an output that exists")
    flags.add_argument("--json", action="store_true", help="print the summary as JSON")
    given = flags.parse_args()
    if given.jobs < 1:
        raise BadUsage(f"--jobs {given.jobs} is out of range; give 1 or more")
    request = TownRequest(given.seed, tuple(given.size), given.photos, given.event_photos, tuple(given.resolution),
                          given.altitude, given.flight, given.event, given.exposure_jitter)
    report(make_town(request, given.output, given.jobs, given.force), given.json)


def report(summary: dict, as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    for flight in summary["flights"]:
        print(f"{flight['flight']}: {flight['photos']} photos, {flight['points']} points")
    print(f"the town is in {summary['output']}")


if __name__ == "__main__":
    run(main)
