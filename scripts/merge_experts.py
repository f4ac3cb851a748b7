#!/usr/bin/env python3
"""Collects experts that were trained apart into one model, so that a large city can be trained on many machines.

First train a base, a short joint phase of all experts. Then train parts of it, each anywhere: the same job with
"checkpoint_path" naming the base and "experts" naming those to train; what experts share stays as the base has it.
Give the parts here: together they must hold every expert once, and come from the same base.
Writes <output>/checkpoints/step<N> (files are hard links where they can be), to be named as any other job's.
"""

from argparse import Namespace
from pathlib import Path

import _launch  # noqa: F401  (first: finds the project's Python)

from adaptive_nerf.common.command_line import parser, print_json, run
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.common.say import say
from adaptive_nerf.jobs import job_file
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.merging import merge, owners_of
from adaptive_nerf.pipelines.opening import Places, find_checkpoint

EXAMPLES = """\
  ./scripts/merge_experts.py --parts train-west train-east --output logs/train-whole
  ./scripts/merge_experts.py --parts logs/a logs/b/checkpoints/step004000 --prefix best --output logs/whole --json
  # then: "checkpoint_path": "train-whole" in a job eval, view, adapt, or train (to train what is shared on)"""


def main() -> None:
    options = _options()
    places = Places(Path("logs").resolve(), ())
    parts = [find_checkpoint(part, options.prefix, places) for part in options.parts]
    owners = owners_of(parts)
    if (options.output / job_file.NAME).exists():
        raise BadUsage(f"{options.output} is the folder of a job, whose best and last would name the merged model; "
                       f"choose another name")
    store = CheckpointStore.of_job(options.output)
    merged = merge(parts, store.place(max(part.manifest.step for part in parts)))
    for name in ("best", "last"):
        store.point(name, merged.folder)
    if options.json:
        print_json({"checkpoint": str(merged.folder), "version": merged.version,
                    "experts": {str(expert): str(owner.folder) for expert, owner in owners.items()}})
        return
    for expert, owner in owners.items():
        say(f"expert {expert}: {owner.folder}")
    say(f"merged: {merged.folder}")


def _options() -> Namespace:
    command = parser(__doc__, EXAMPLES)
    command.add_argument("--parts", nargs="+", required=True, metavar="PART",
                         help="jobs or checkpoints that were trained with `experts`: a job_id or a folder each")
    command.add_argument("--prefix", default="last", help="which checkpoint of each job: best, last, step<N>")
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help="the new model's folder, in logs/")
    command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return command.parse_args()


if __name__ == "__main__":
    run(main)
