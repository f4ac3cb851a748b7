"""The README's command lines, word by word, on a town; and the same commands with wrong input."""

import json

import pytest

from adaptive_nerf.data.masks import open_partition
from adaptive_nerf.data.photos import read_picture
from adaptive_nerf.data.scene import open_scene

pytestmark = pytest.mark.system
COMMANDS = ["make_town", "prepare_dataset", "create_clusters", "update_dataset", "visualize_clusters", "inspect_scene"]


def test_the_scene_is_whole_and_without_warnings(surveyed):
    scene = open_scene(surveyed.folder / "data/drz/out/prepared")
    assert (len(scene.split("train")), len(scene.split("val"))) == (8, 4)
    assert [photo.photo_id for photo in scene.flights["event"]] == [12, 13, 14, 15]
    assert scene.frame.is_georeferenced
    assert scene.warnings == ()
    assert open_partition(scene, "g22_grid_bm105_ss11").n_experts == 4


def test_nothing_hidden_or_temporary_is_left(surveyed):
    hidden = [path for path in (surveyed.folder / "data").rglob(".*")]
    assert hidden == []


def test_inspect_tells_json_and_tables(surveyed):
    line = "./scripts/inspect_scene.py --data_path data/drz/out/prepared --partition g22_grid_bm105_ss11"
    facts = json.loads(surveyed.must(f"{line} --json"))
    assert facts["scene"]["photos"] == {"train": 8, "val": 4, "later flights": {"event": 4}}
    assert len(facts["partition"]["experts"]) == 4
    assert "metres per scene unit" in surveyed.must(line)


def test_maps_and_overlays_are_pictures(surveyed):
    surveyed.must("./scripts/visualize_clusters.py --data_path data/drz/out/prepared --partition g22_grid_bm105_ss11 "
                  "--output pictures --photos 3")
    pictures = sorted(path for path in (surveyed.folder / "pictures").rglob("*") if path.is_file())
    overlays = ["000000.jpg", "000006.jpg", "000011.jpg"]
    assert [path.name for path in pictures] == ["contact_sheet.jpg", "map.png", *overlays]
    for path in pictures:
        assert read_picture(path).std() > 20  # something is drawn


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example_that_starts_with_the_command(surveyed, command):
    assert f"examples:\n  ./scripts/{command}.py" in surveyed.must(f"./scripts/{command}.py --help")


@pytest.mark.parametrize("line", [
    "make_town.py --output data/drz",
    "prepare_dataset.py --data_path data/drz --output_path data/drz/out/prepared --ecef_to_enu",
    "create_clusters.py --data_path data/drz/out/prepared --grid_dim 2 2 --output g22_grid_bm105_ss11",
    "update_dataset.py --update_model_path data/drz/event/model --image_path data/drz/event/images "
    "--prepared_dir data/drz/out/prepared --batch_tag event",
    "make_town.py --output data/new --photos -3",
    "prepare_dataset.py --data_path nowhere --output_path data/new",
    "create_clusters.py --data_path nowhere --grid_dim 2 2 --output new",
    "create_clusters.py --data_path data/drz/out/prepared --grid_dim 2 2 --output ../new",
    "update_dataset.py --update_model_path nowhere --image_path data/drz/images --prepared_dir "
    "data/drz/out/prepared --batch_tag new",
    "visualize_clusters.py --data_path data/drz/out/prepared --partition nothing",
    "inspect_scene.py --data_path data/drz",
])
def test_wrong_input_gives_one_line_exit_2_and_leaves_nothing(surveyed, line):
    before = sorted(surveyed.folder.rglob("*"))
    done = surveyed.run(f"./scripts/{line}")
    assert done.returncode == 2, done.stderr
    (said,) = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert "Traceback" not in done.stderr
    assert len(said) < 400
    assert sorted(surveyed.folder.rglob("*")) == before
