"""Experts: how well and how fast a real flight and the town are learned, rendered, and how a new flight is absorbed.

Trainings are jobs of their own, run by the runner as the service runs them. `--scene` is a prepared scene of 512x384
photos with val photos; where none is given, the real flight beside the clone is taken if it is there, else a town.
Takes about 25 minutes; `--quick` trains 30 and 60 seconds instead of 120 and 600: its figures are not the asked ones.
Figures of photos are means over all val photos, valid pixels, sRGB; neutral, and with exposure fitted on the left half.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from adaptive_nerf.common.command_line import run
from adaptive_nerf.common.say import say
from adaptive_nerf.engine.precision import set_half
from adaptive_nerf.pipelines.opening import set_up_arithmetic
from bench import scene_figures as figures_of
from bench.data import borrowed, command, default_scene
from bench.harness import Figure, arguments, report
from bench.jobs_here import Trained, train

PARTITION = "ours"
FLAGS = "--grid_dim 2 2 --cluster_2d --boundary_margin 1.05 --ray_samples 256 --center_pixels --scene_scale 2.0"
COMMON = {"op": "train", "mask_dirname": PARTITION, "downscale": 0.5, "log2_hashmap_size": 17, "eval_step": 100_000,
          "save_step": 100_000, "num_submodules": 4}
LARGER = {"log2_hashmap_size": 18}  # what ten minutes can fill, at 0.3 GB more


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--scene", type=Path, help="a prepared scene of 512x384 photos")
    parser.add_argument("--quick", action="store_true", help="short trainings: to see that it works")
    options = parser.parse_args()
    set_up_arithmetic()
    set_half(True)
    short_s, long_s = (30, 60) if options.quick else (120, 600)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        figures = flight_figures(options.scene or default_scene(work), work, short_s, long_s)
        figures += town_figures(work, short_s)
    if options.quick:
        figures = [replace(figure, asked=None) for figure in figures]
    report("scene", figures, options.json)


def flight_figures(source: Path, work: Path, short_s: float, long_s: float) -> list[Figure]:
    scene = borrowed(source, work / "scene")
    command("create_clusters.py", *f"--data_path {scene} --output {PARTITION} {FLAGS}".split())
    spec = COMMON | {"data_path": str(scene)}
    joint = told_training(work / "joint", spec | {"algo": "joint", "seconds": short_s})
    long = told_training(work / "long", spec | LARGER | {"algo": "joint", "seconds": long_s})
    meta = told_training(work / "meta", spec | {"algo": "fomaml", "seconds": short_s, "batch_size": 1,
                                                "support_rays": 1024, "query_rays": 512, "inner_iter": 4})
    photos = figures_of.load(scene, 0.5)
    return [Figure("load_s", joint.first_step_s, "s", 6, "lower"), *figures_of.joint(joint, photos),
            *figures_of.long(long, photos), *figures_of.same_images(long, photos), *figures_of.held_out(long, photos),
            *figures_of.meta_against_joint(meta, joint, photos), figures_of.meta_step(meta, photos),
            *figures_of.rendering(long, photos), Figure("rss_gb", joint.peak_gb, "GB", 1.2, "lower"),
            Figure("train_600s_rss_gb", long.peak_gb, "GB")]


def town_figures(work: Path, seconds: float) -> list[Figure]:
    town, scene = work / "town", work / "town" / "out" / "prepared"
    command("make_town.py", "--output", town, "--event", "collapse")
    command("prepare_dataset.py", "--data_path", town, "--output_path", scene, "--val_split", 0.25, "--ecef_to_enu")
    command("create_clusters.py", *f"--data_path {scene} --output {PARTITION} {FLAGS}".split())
    command("update_dataset.py", "--update_model_path", town / "event" / "model", "--image_path",
            town / "event" / "images", "--prepared_dir", scene, "--batch_tag", "event")
    trained = told_training(work / "town_job", COMMON | {"data_path": str(scene), "algo": "joint", "seconds": seconds})
    return figures_of.town(trained, town, scene)


def told_training(out: Path, spec: dict[str, object]) -> Trained:
    say(f"training {out.name}: {spec['algo']}, {spec['seconds']:g} s")
    return train(out, spec)


if __name__ == "__main__":
    run(main)
