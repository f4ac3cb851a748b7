"""The page of a `view` job, measured as an operator meets it: on the town, with four experts, through real websockets.

A `view` job is run by the runner, as the service runs it, and clients speak the browser's protocol through its front
door, each with a window of 640x480. What a browser takes to draw what it was sent is not in these figures. The
clients share the machine's cores with the job.
    first_picture_s, first_frame_s   from the start of the job's process to all points and frusta, to the first picture
    coarse_frame_ms, full_frame_s    from a move of the camera to the first and to the full picture: medians of 8 views,
                                     half of them near; each begins when the one before is finished
    mode_change_ms                   from a choice of what is shown to its picture: median of 5
    click_ms                         from a click in a full picture to its coordinates: median of 10
    click_error_p95_m                200 clicks in each of 8 views, on pixels that show a roof or a street in the town's
                                     mesh: distance in space from the place that the page tells to that of the mesh
                                     through the same pixel; a click on which the page says "nothing is there" counts as
                                     infinitely wrong
    adapt_throughput_pct             steps a second of a flight learned on the page, whose viewer stands still and sees
                                     it change, against the operation `adapt` with nobody looking; the first quarter
                                     of the steps is left out of both
    clients_lost, memory_growth_mib  8 clients that move five times a second; growth of the process's resident memory
                                     from the third tenth of that time to its last tenth
A training comes first: configs/train.json for 10 minutes; with --checkpoint a trained job's folder is taken instead,
with --town the town that it was trained on. --quick trains 60 seconds and lets the clients move for 40: its figures of
errors and memory are not the asked ones. In full it takes about 25 minutes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from adaptive_nerf.common.command_line import run
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.common.say import say
from adaptive_nerf.data.scene import open_scene
from bench import viewer_figures as figures_of
from bench.data import CLONE, command
from bench.harness import Figure, arguments, report
from bench.jobs_here import train
from bench.viewer_page import view_job
from bench.viewer_truth import Truth

PEOPLE = 8
ADAPT_FIELDS = ("data_path", "data_dirname", "mask_dirname", "downscale", "use_amp", "checkpoint_path", "prefix")
Spec = dict[str, object]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="a short training, clients for a short time")
    parser.add_argument("--checkpoint", type=Path, help="folder of a trained job on --town, instead of a training")
    parser.add_argument("--town", type=Path, help="a town of make_town.py, prepared as make demo does it")
    options = parser.parse_args()
    if options.checkpoint and not options.town:
        raise BadUsage("--checkpoint needs --town, the town that it was trained on")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        town = (options.town or made_town(work / "town")).resolve()
        trained = options.checkpoint or trained_on(town, work / "trained", 60 if options.quick else 600)
        figures = list(measured(town, trained.resolve(), work, options.quick))
    if options.quick:
        figures = [replace(figure, asked=None) for figure in figures]
    report("viewer", figures, options.json)


def measured(town: Path, trained: Path, work: Path, quick: bool) -> Iterator[Figure]:
    scene = open_scene(town / "out" / "prepared")
    spec: Spec = {**json.loads((CLONE / "configs" / "view.json").read_bytes()), "data_path": str(town),
                  "checkpoint_path": str(trained)}
    truth = Truth.of(town, scene.frame)
    steps = 64 if quick else 256
    say("a flight is learned by the operation adapt")
    alone = figures_of.steps_a_second_alone(of_adaptation(spec), sorted(scene.flights)[0], work / "adapted", steps)
    say("a view job, and somebody who looks")
    with view_job(work / "view", spec) as job:
        yield from figures_of.first_sight(job, scene)
        with job.operator(scene) as operator:
            operator.wait_until(lambda: operator.has("Show"))
            yield from figures_of.moves(operator)
            yield from figures_of.mode_changes(operator)
        say("places are clicked whose coordinates are known")
        yield from figures_of.clicks(job, scene, truth)
        with job.operator(scene) as operator:
            operator.wait_until(lambda: operator.has("Show"))
            say("the flight is learned while somebody looks")
            yield from figures_of.adaptation(operator, alone, steps)
    say(f"{PEOPLE} people at once")
    with view_job(work / "crowd", spec) as job:
        yield from figures_of.crowd(job, scene, PEOPLE, 40 if quick else 600)


def of_adaptation(spec: Spec) -> Spec:
    """What the operation `adapt` takes of a view job; what that leaves to its default stays so."""
    return {name: value for name, value in spec.items() if name in ADAPT_FIELDS}


def made_town(town: Path) -> Path:
    """As make demo makes it."""
    scene = town / "out" / "prepared"
    command("make_town.py", "--output", town)
    command("prepare_dataset.py", *f"--data_path {town} --output_path {scene} --val_split 0.25 "
            "--ecef_to_enu".split())
    command("create_clusters.py", *f"--data_path {scene} --grid_dim 2 2 --cluster_2d --boundary_margin 1.05 "
            "--center_pixels --scene_scale 2.0 --output g22_grid_bm105_ss20".split())
    command("update_dataset.py", *f"--update_model_path {town}/event/model --image_path {town}/event/images "
            f"--prepared_dir {scene} --batch_tag event".split())
    return town


def trained_on(town: Path, out: Path, seconds: float) -> Path:
    say(f"training for {seconds:g} s")
    config = json.loads((CLONE / "configs" / "train.json").read_bytes())
    return train(out, config | {"data_path": str(town), "seconds": seconds}).folder


if __name__ == "__main__":
    run(main)
