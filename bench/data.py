"""Scenes: how fast a partition and a town are made, and how well our masks agree with those of the earlier system.

Whole commands are timed from outside, start-up included. `--scene` is a prepared scene of 512x384 photos; where none is
given, the real flight beside the clone is taken if it is there, else a town is made for it. mask_agreement_pct needs a
scene that brings masks/g22_grid_bm110_ss11.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from adaptive_nerf.common.command_line import run
from adaptive_nerf.common.errors import Failure
from adaptive_nerf.common.say import say
from adaptive_nerf.data.masks import mask_agreement_pct
from adaptive_nerf.data.scene import open_scene
from bench import roofline
from bench.harness import Figure, arguments, median_of, report, seconds

CLONE = Path(__file__).resolve().parent.parent
REAL_FLIGHT = CLONE.parent / "shared" / "data" / "drz" / "out" / "example"
SHIPPED = "g22_grid_bm110_ss11"
SHIPPED_FLAGS = "--grid_dim 2 2 --cluster_2d --boundary_margin 1.1 --ray_samples 256 --center_pixels --scene_scale 1.1"
RUNS = 3


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--scene", type=Path, help="a prepared scene of 512x384 photos")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        figures = [Figure("town_default_s", median_of(RUNS, lambda: town_seconds(work / "town")), "s", 40, "lower")]
        scene = borrowed(options.scene or default_scene(work), work / "scene")
        photos = len(open_scene(scene).photos)
        rate = photos / median_of(RUNS, lambda: cluster_seconds(scene))
        figures.append(Figure("create_clusters_photos_per_s", rate, "photos/s", 15))
        if (scene / "masks" / SHIPPED).is_dir():
            masks = scene / "masks"
            agreement = mask_agreement_pct(masks / "ours", masks / SHIPPED, open_scene(scene), n_experts=4)
            figures.append(Figure("mask_agreement_pct", agreement, "%", 99.5))
        else:
            say(f"mask_agreement_pct: not measured, {scene} brings no masks/{SHIPPED}")
    report("data", figures + roofline.probe().figures(), options.json)


def town_seconds(output: Path) -> float:
    return seconds(lambda: command("make_town.py", "--output", output, "--force"))


def cluster_seconds(scene: Path) -> float:
    flags = f"--data_path {scene} --output ours --force {SHIPPED_FLAGS}"
    return seconds(lambda: command("create_clusters.py", *flags.split()))


def default_scene(work: Path) -> Path:
    if REAL_FLIGHT.is_dir():
        return REAL_FLIGHT
    town, scene = work / "large", work / "large" / "out" / "prepared"
    command("make_town.py", "--output", town, "--resolution", 512, 384)
    command("prepare_dataset.py", "--data_path", town, "--output_path", scene, "--ecef_to_enu")
    return scene


def borrowed(scene: Path, at: Path) -> Path:
    """The same scene under another name by links, so that its own masks folder stays as it is."""
    (at / "masks").mkdir(parents=True)
    for path in scene.resolve().iterdir():
        if path.name != "masks":
            (at / path.name).symlink_to(path)
    for path in (scene.resolve() / "masks").glob(SHIPPED):
        (at / "masks" / SHIPPED).symlink_to(path)
    return at


def command(script: str, *flags: object) -> None:
    done = subprocess.run([sys.executable, str(CLONE / "scripts" / script), *map(str, flags)], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{script} failed: {done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    run(main)
