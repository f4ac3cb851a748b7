"""create_clusters: the same bytes whatever the workers, the chunks and the kills; refusals that say why."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from adaptive_nerf.common import atomic_files
from adaptive_nerf.common.atomic_files import locked_folder, partial_folder
from adaptive_nerf.common.errors import BadData, BadUsage, Failure, OutputExists
from adaptive_nerf.data import clusters
from adaptive_nerf.data.cluster_journal import JOURNAL
from adaptive_nerf.data.clusters import Work, create_clusters, partition_folder, routing_of
from adaptive_nerf.data.masks import load_mask, open_partition
from adaptive_nerf.data.partition import PartitionSettings, grid_of
from adaptive_nerf.data.routing_reference import march_photo
from adaptive_nerf.data.scene import open_scene
from tests.unit.data.scene_factory import write_scene

SETTINGS = PartitionSettings((1, 2, 2), cluster_2d=True, boundary_margin=1.2, ray_samples=32, scene_scale=2.0)
PLAIN, RESUME = Work(), Work(resume=True)


@pytest.fixture
def scene(tmp_path):
    return open_scene(write_scene(tmp_path / "scene"))


@pytest.fixture
def wide(scene):
    """The same photos off the line that they are on, so that four tiles differ."""
    photos = []
    for photo in scene.photos:
        pose = photo.c2w_scene.copy()
        pose[2, 3] += 0.3 * (photo.photo_id % 2)
        photos.append(replace(photo, c2w_scene=pose))
    return replace(scene, photos=tuple(photos))


@pytest.fixture
def make(wide, tmp_path):
    def run(name="p", settings=SETTINGS, work=PLAIN, **options):
        return create_clusters(wide, settings, tmp_path / "masks" / name, work, **options)
    return run


def test_counts_and_boxes_are_those_of_marching(make, wide):
    result = make().partition
    routing = routing_of(wide, SETTINGS)
    marches = [march_photo(photo.camera(1.0), routing) for photo in wide.photos]
    for expert in range(4):
        points = np.concatenate([march.points[march.routed[expert]] for march in marches])
        assert abs(len(points) - result.counts[expert]) <= 1e-3 * len(points)
        np.testing.assert_allclose(result.boxes[expert].low[1:], points.min(0)[1:], atol=1e-9)
        np.testing.assert_allclose(result.boxes[expert].high[1:], points.max(0)[1:], atol=1e-9)
        assert result.boxes[expert].low[0] == routing.box.low[0]


@pytest.mark.parametrize("work", [Work(jobs=2), Work(chunk_pixels=7), RESUME, Work(jobs=3, chunk_pixels=100)])
def test_workers_chunks_and_resume_change_no_byte(make, digest, tmp_path, work):
    make("plain")
    make("other", work=work)
    assert digest(tmp_path / "masks" / "plain") == digest(tmp_path / "masks" / "other")


@pytest.mark.parametrize("kth", [1, 2, 7, 25, 26, 27, 28])
def test_killed_at_any_write_the_next_run_ends_with_the_same_bytes(make, digest, tmp_path, killed_at_write, kth):
    make("whole")
    assert killed_at_write(kth, lambda: make("killed"))
    make("killed")
    assert digest(tmp_path / "masks" / "killed") == digest(tmp_path / "masks" / "whole")
    assert [path.name for path in sorted((tmp_path / "masks").iterdir())] == ["killed", "whole"]


@pytest.mark.parametrize("work", [PLAIN, RESUME, Work(force=True)])
def test_finished_photos_are_kept_unless_their_masks_are_damaged(make, tmp_path, killed_at_write, work):
    assert killed_at_write(16, make)  # inputs.json, then 4 masks a photo: 3 photos are done
    partial = partial_folder(tmp_path / "masks" / "p")
    assert len((partial / JOURNAL).read_text().splitlines()) == 3
    (partial / "2" / "000001.pt").write_bytes(b"torn")
    with (partial / JOURNAL).open("a") as journal:
        journal.write('{"stem": "000003", "checks')
    report = make(work=work)
    assert (report.photos_kept, report.photos_made) == (2, 4)


def test_a_run_that_ends_while_all_is_brought_to_the_disk_has_lost_no_photo(make, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(atomic_files, "sync_tree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make()
    report = make()
    assert (report.photos_kept, report.photos_made) == (6, 0)


def interrupted(folder):
    raise KeyboardInterrupt


def test_what_a_killed_replacement_left_is_not_gone_on_with(make, tmp_path):
    partial = partial_folder(tmp_path / "masks" / "p")
    make().partition.folder.rename(partial)
    shutil.rmtree(partial / "0")
    assert make().photos_made == 6


@pytest.mark.parametrize("settings", [replace(SETTINGS, boundary_margin=1.3), replace(SETTINGS, grid_dim=(1, 2, 1))])
def test_an_unfinished_run_of_other_settings_is_given_up_aloud(make, killed_at_write, capsys, settings):
    assert killed_at_write(16, make)
    report = make(settings=settings)
    assert report.photos_kept == 0
    assert "an unfinished run is given up (" in capsys.readouterr().err


def test_a_finished_partition_is_left_alone_with_resume(make):
    made = make()
    report = make(work=RESUME)
    assert report.was_there
    assert report.partition.counts.tolist() == made.partition.counts.tolist()


def test_an_existing_output_is_refused_without_force(make):
    make()
    with pytest.raises(OutputExists):
        make()
    with pytest.raises(BadUsage, match=r"boundary_margin was 1.2, now 1.5\); choose another name"):
        make(settings=replace(SETTINGS, boundary_margin=1.5), work=RESUME)
    assert make(settings=replace(SETTINGS, boundary_margin=1.5), work=Work(force=True)).photos_made == 6


def test_what_a_replacement_left_when_it_was_killed_is_cleared_away(make, tmp_path):
    make()
    partial = partial_folder(tmp_path / "masks" / "p")
    (partial / "0").mkdir(parents=True)
    assert make(work=RESUME).was_there
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["p"]


def test_a_moved_camera_makes_it_another_partition(make, wide, tmp_path):
    make()
    moved = replace(wide.photos[0], c2w_scene=wide.photos[0].c2w_scene + np.eye(3, 4, 3) * 1e-3)
    with pytest.raises(BadUsage, match="the photos changed"):
        create_clusters(replace(wide, photos=(moved, *wide.photos[1:])), SETTINGS, tmp_path / "masks" / "p", RESUME)


def test_a_finished_partition_that_lost_a_mask_is_not_called_done(make, tmp_path):
    make()
    (tmp_path / "masks" / "p" / "1" / "000004.pt").unlink()
    with pytest.raises(BadData, match="is incomplete"):
        make(work=RESUME)


def test_two_runs_of_one_output_do_not_mix(make, tmp_path):
    with locked_folder(partial_folder(tmp_path / "masks" / "p")), pytest.raises(Failure, match="wait for it to end"):
        make()


@pytest.mark.parametrize("settings", [
    replace(SETTINGS, boundary_margin=1.0), replace(SETTINGS, cluster_2d=False, grid_dim=(2, 2, 1)),
    replace(SETTINGS, centroid_mode="kmeans"), replace(SETTINGS, near_m=20.0, far_m=80.0, box_margin_m=3.0)])
def test_every_kind_of_partition_has_finite_boxes_within_the_whole(make, settings):
    result = make(settings=settings).partition
    for box in result.boxes:
        assert np.isfinite([box.low, box.high]).all()
        assert (box.low >= result.global_box.low).all()
        assert (box.high <= result.global_box.high).all()
        assert (box.high > box.low).all()


def test_the_box_margin_is_metres_and_stays_within_the_whole_box(make):
    bare, grown = make("a").partition, make("b", settings=replace(SETTINGS, box_margin_m=6.0)).partition
    low, high = bare.boxes[0].low - 0.1, bare.boxes[0].high + 0.1  # 60 m to the unit
    np.testing.assert_allclose(grown.boxes[0].low, np.maximum(low, bare.global_box.low))
    np.testing.assert_allclose(grown.boxes[0].high, np.minimum(high, bare.global_box.high))


def test_an_expert_without_samples_is_named_and_nothing_is_left(make, tmp_path):
    with pytest.raises(BadUsage, match=r"no ray of any photo has a sample for expert 1 at East .* m, North .* m"):
        make(settings=replace(SETTINGS, scene_scale=0.01))
    assert list((tmp_path / "masks").iterdir()) == []


def test_pixels_without_a_picture_or_labelled_zero_belong_to_nobody(scene, tmp_path):
    valid, labels = np.full((24, 32), 255, np.uint8), np.ones((24, 32), np.uint8)
    valid[:5], labels[:, :7] = 0, 0
    (scene.root / "train" / "valid").mkdir()
    Image.fromarray(valid).save(scene.root / "train" / "valid" / "000001.png")
    Image.fromarray(labels).save(tmp_path / "000001.png")
    result = create_clusters(open_scene(scene.root), replace(SETTINGS, grid_dim=(1, 1, 1)), tmp_path / "p",
                             segmentation=tmp_path).partition
    mask = load_mask(result.mask_path(0, "000001"), 32, 24)
    np.testing.assert_array_equal(mask, (valid > 0) & (labels > 0))
    assert load_mask(result.mask_path(0, "000002"), 32, 24).all()


def test_files_hold_what_the_format_page_says(make, wide, tmp_path):
    folder = make().partition.folder
    params, boxes = (torch.load(folder / name, weights_only=True) for name in ("params.pt", "scene_boxes.pt"))
    assert set(params) == {"format_version", "centroid_mode", "centroids", "grid_dim", "cluster_2d", "boundary_margin",
                           "ray_samples", "aabb_global", "scene_scale", "near_far_override_m"}
    assert set(boxes) == {"format_version", "aabb_global", "mins", "maxs", "counts", "centroids", "grid_dim",
                          "cluster_2d", "boundary_margin", "ray_samples", "scene_scale"}
    assert (params["grid_dim"], params["near_far_override_m"]) == ((1, 2, 2), (None, None))
    assert (boxes["counts"].dtype, boxes["mins"].dtype) == (torch.int64, torch.float32)
    assert {path.name for path in folder.iterdir()} == {"0", "1", "2", "3", "inputs.json", "params.pt",
                                                        "scene_boxes.pt", "scene_boxes.txt"}
    assert open_partition(wide, folder).warnings == ()


@pytest.mark.parametrize(("changes", "problem"), [
    ({"boundary_margin": 0.9}, "boundary_margin"), ({"ray_samples": 1}, "ray_samples"),
    ({"grid_dim": (1, 0, 2)}, "1 or more"),
    ({"scene_scale": 0.0}, "scene_scale"), ({"near_m": 5.0, "far_m": 5.0}, "beyond"), ({"near_m": -1.0}, "near"),
    ({"grid_dim": (2, 2, 2)}, "no layers"), ({"boundary_margin": float("nan")}, "finite"), ({"seed": -1}, "seed"),
    ({"box_margin_m": -1.0}, "box_margin")])
def test_settings_that_make_no_sense_are_refused(changes, problem):
    with pytest.raises(BadUsage, match=problem):
        replace(SETTINGS, **changes)


@pytest.mark.parametrize("changes", [{"jobs": 0}, {"chunk_pixels": 0}])
def test_no_worker_and_no_pixel_at_once_are_refused(changes):
    with pytest.raises(BadUsage, match="is 0: 1 or more"):
        Work(**changes)


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp/x", ".hidden", "-x", "a b"])
def test_the_output_is_a_plain_name(scene, name):
    with pytest.raises(BadUsage, match="not a plain name"):
        partition_folder(scene, name)


def test_a_grid_of_two_numbers_has_one_layer():
    assert (grid_of([2, 3]), grid_of([4, 2, 3])) == ((1, 2, 3), (4, 2, 3))
    with pytest.raises(BadUsage, match="2 or 3 numbers"):
        grid_of([4])


def test_a_worker_that_is_killed_is_told_plainly(make, monkeypatch):
    def die(*_):
        import os
        os.kill(os.getpid(), 9)
    monkeypatch.setattr(clusters, "route_photo", die)
    with pytest.raises(Failure, match="a worker process was killed"):
        make(work=Work(jobs=2))
