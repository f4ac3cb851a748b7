"""A disk that runs full: one line, exit 2, nothing half-written, and the same command goes on when there is room."""

import shutil

import pytest

from tests.support.small_disk import small_disk

pytestmark = pytest.mark.system
COMMANDS = {
    "make_town.py --output disk/town --photos 4 --event none --resolution 64 48": "disk/town",
    "create_clusters.py --data_path disk/scene --grid_dim 2 2 --cluster_2d --center_pixels --output new --resume":
        "disk/scene/masks/new",
    "update_dataset.py --update_model_path data/drz/event/model --image_path data/drz/event/images --prepared_dir "
    "disk/scene --batch_tag later": "disk/scene/continual/later",
    "visualize_clusters.py --data_path data/drz/out/prepared --partition g22_grid_bm105_ss11 --output disk/pictures":
        "disk/pictures",
}


@pytest.fixture
def full_disk(surveyed):
    """A file system at disk/ with a scene on it and a few kilobytes left; calling it makes room."""
    with small_disk(surveyed.folder / "disk", 32) as disk:
        shutil.copytree(surveyed.folder / "data/drz/out/prepared", disk / "scene",
                        ignore=shutil.ignore_patterns("masks", "continual"))
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(bytes(free - 24 * 1024))
        yield (disk / "ballast").unlink


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(surveyed, full_disk, command):
    output = surveyed.folder / COMMANDS[command]
    done = surveyed.run(f"./scripts/{command}")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1
    assert "no space left on the disk" in errors[0]
    assert "Traceback" not in done.stderr
    assert not output.exists()
    full_disk()
    surveyed.must(f"./scripts/{command}")
    assert output.is_dir()
