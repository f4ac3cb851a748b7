"""Every field of a `train` job has the effect that it is said to have."""

import json

import pytest
import torch

from adaptive_nerf.common.errors import BadData, BadUsage
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.engine.samples import Rays
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.field import Field
from adaptive_nerf.pipelines import joint, meta_training, opening
from adaptive_nerf.pipelines.joint import FEWEST_RAYS
from adaptive_nerf.pipelines.training_start import FREE_AIR, height_m
from tests.unit.pipelines.training.factory import FRAME, last_of, learned, training_run, weights_of

META = {"algo": "fomaml", "warmup_joint": 0.0, "outer_steps": 2}


@pytest.mark.parametrize("changed", [
    {"near": 20.0}, {"far": 30.0}, {"ray_samples": 64}, {"boundary_margin": 1.0}, {"routing": "inverse"},
    {"optimizer": "sgd"}, {"lr": 1e-3}, {"encoding_lr": 1e-3}, {"sigma_lr": 1e-4}, {"color_lr": 1e-4}, {"bg_lr": 1e-4},
    {"appearance_lr": 1e-2}, {"rays": 70}, {"samples": 2100}, {"density_bias": 0.0}, {"seed": 1}, {"downscale": 0.5},
    {"mask_dirname": "quad"}], ids=str)
def test_it_changes_what_joint_training_learns(train_job, changed):
    fields = {"outer_steps": 4}
    assert weights_of(train_job("plain", **fields).out) != weights_of(train_job("changed", **fields, **changed).out)


@pytest.mark.parametrize("changed", [
    {"batch_size": 2}, {"support_rays": 100}, {"query_rays": 80}, {"cell_dim": 3}, {"inner_iter": 1},
    {"inner_lr": 0.1}, {"inner_params": "all"}, {"algo": "reptile"}, {"warmup_joint": 0.5}], ids=str)
def test_it_changes_what_meta_learning_learns(train_job, changed):
    first_joint = {"algo": "fomaml", "warmup_joint": 0.9, "outer_steps": 30}
    plain, other = (learned(train_job(name, **{**first_joint, **fields}).out)
                    for name, fields in (("plain", {}), ("changed", changed)))
    assert plain["expert_000.safetensors"] != other["expert_000.safetensors"]


@pytest.mark.parametrize("changed", [{"chunk_points": 5000}, {"dataset": "another label"}, {"use_stored_args": False},
                                     {"eval_step": 2}, {"save_step": 2}, {"test_batch_size": 2}, {"keep": 1}], ids=str)
def test_it_changes_nothing_of_what_is_learned(train_job, changed):
    assert learned(train_job("plain").out) == learned(train_job("changed", **changed).out)


def test_chunk_points_change_no_score(train_job):
    few, many = (train_job(str(points), chunk_points=points).result.metrics["val_psnr_db"] for points in (4096, 10**6))
    assert few == many


@pytest.mark.parametrize("chunk_points", [3000, 30_000])
def test_chunk_points_bound_what_is_marched_at_once(train_job, monkeypatch, chunk_points):
    rooms, march = [], Field.march
    monkeypatch.setattr(Field, "march", lambda self, rays, room, *told, **named:
                        rooms.append(room) or march(self, rays, room, *told, **named))
    train_job(outer_steps=2, samples=2048, chunk_points=chunk_points)
    assert max(rooms) == chunk_points


@pytest.mark.parametrize(("field", "value", "name", "stored"), [
    ("levels", 3, "levels", 3), ("features", 4, "features", 4), ("log2_hashmap_size", 11, "log2_size", 11),
    ("max_resolution", 99, "max_resolution", 99), ("sigma_depth", 2, "trunk_depth", 2),
    ("dim_hidden", 32, "trunk_width", 32), ("color_depth", 1, "head_depth", 1), ("color_hidden", 32, "head_width", 32),
    ("color_head", "own", "head", "own"), ("deferred_color", False, "deferred", False),
    ("density_bias", -1.0, "density_bias", -1.0), ("bg_hidden", 8, "background_width", 8),
    ("no_bg_nerf", True, "background_width", 0), ("appearance", "code", "appearance", "code"),
    ("appearance", "none", "appearance", "none")])
def test_the_shape_of_the_field_is_that_of_the_job(train_job, field, value, name, stored):
    done = train_job(**{field: value}, outer_steps=2)
    assert last_of(done.out).architecture.to_json()[name] == stored
    assert last_of(done.out).load().field.parameters.tables.isfinite().all()
    assert done.result.metrics["skipped_steps"] == 0


@pytest.mark.parametrize("fields", [{"color_head": "own", "deferred_color": False}, {"appearance": "code"},
                                    {"color_head": "own", "appearance": "code", "algo": "fomaml", "warmup_joint": 0.5},
                                    {"no_bg_nerf": True, "levels": 16, "features": 2, "sigma_depth": 2}], ids=str)
def test_shapes_of_many_kinds_learn(prepared, fields):
    training = prepared(**fields)
    losses = []
    for _ in range(60):
        losses.append(training.joint.take(meta_training.rates_of(training.run.spec)).loss)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


@pytest.mark.parametrize("fields", [{"sigma_depth": 9}, {"dim_hidden": 1000}, {"color_hidden": 300},
                                    {"bg_hidden": 999}], ids=str)
def test_a_shape_that_no_field_can_have_is_refused(train_job, fields):
    with pytest.raises(BadUsage, match="no field can have this shape"):
        train_job(**fields)


def test_near_and_far_are_metres(prepared):
    joint = prepared(near=15.0, far=33.0).joint
    batch = joint.draw()
    t = joint.field.march(joint.rays_of(batch), 10_000).t * FRAME.metres_per_unit
    assert 15.0 <= float(t.min()) < 17.0
    assert 30.0 < float(t.max()) <= 33.0


def test_where_near_is_not_given_the_air_around_the_drone_is_free(prepared, training_scene):
    scene = open_scene(training_scene)
    joint = prepared(near=None).joint
    assert height_m(scene) == pytest.approx(34.0, abs=1)
    assert joint.near * FRAME.metres_per_unit == pytest.approx(FREE_AIR * height_m(scene))
    assert prepared("zero", near=0.0).joint.near == 0


def test_ray_samples_are_the_steps_of_a_ray_without_occupancy(prepared):
    few, many = (prepared(str(number), ray_samples=number).joint for number in (48, 96))
    assert few.sampling.finest == pytest.approx(2 * many.sampling.finest)
    straight_down = Rays(torch.tensor([[-0.3, 0.1, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]))
    counts = [int(joint.field.march(straight_down, 10_000).count) for joint in (few, many)]
    assert counts[1] == pytest.approx(2 * counts[0], abs=2)
    assert counts[1] <= 96


@pytest.mark.parametrize(("asked", "margin"), [(None, 1.2), (5.0, 1.2), (1.1, 1.1), (0.5, 1.0)])
def test_the_boundary_margin_is_within_1_and_the_partitions_own(train_job, asked, margin):
    out = train_job(boundary_margin=asked, outer_steps=1).out
    assert last_of(out).manifest.regions.margin == pytest.approx(margin)


def test_blending_and_steps_of_a_model_that_is_there_are_those_of_the_job(train_job, tmp_path):
    base = str(train_job("base", outer_steps=1).out)
    fields = {"boundary_margin": 1.1, "routing": "inverse", "ray_samples": 192}
    told = last_of(train_job(checkpoint_path=base, **fields, outer_steps=1).out).manifest
    assert (told.regions.margin, told.regions.routing) == (1.1, "inverse")
    assert told.training["sampling"]["finest"] == pytest.approx(
        last_of(tmp_path / "base").manifest.training["sampling"]["finest"] / 2)


def test_what_a_job_says_nothing_of_stays_as_the_model_has_it(train_job):
    base = str(train_job("base", outer_steps=1, boundary_margin=1.1, routing="inverse").out)
    regions = last_of(train_job(checkpoint_path=base, outer_steps=1).out).manifest.regions
    assert (regions.margin, regions.routing) == (1.1, "inverse")


def test_rays_and_samples_bound_a_step(prepared):
    rates = meta_training.rates_of(prepared().run.spec)
    for fields in ({"rays": 50, "samples": 10**5}, {"rays": None, "samples": 3000}):
        training = prepared(f"bounded{fields['samples']}", **fields)
        for _ in range(6):
            taken = training.joint.take(rates)
            assert taken.rays <= (fields["rays"] or 10**9)
            assert taken.rays >= min(fields["rays"] or FEWEST_RAYS, FEWEST_RAYS)
            assert taken.samples <= 1.25 * fields["samples"]


def test_steps_take_more_samples_later_up_to_what_the_job_allows(prepared, monkeypatch):
    monkeypatch.setattr(joint, "SAMPLES_AT_FIRST", 1000)
    monkeypatch.setattr(joint, "GROWN_AFTER_STEPS", 2)
    training = prepared(samples=3100)
    rates = meta_training.rates_of(training.run.spec)
    aims = []
    for _ in range(8):
        training.joint.take(rates)
        aims.append(training.joint.sampling.growth * training.joint.sampling.samples)
    assert aims == [1000, 1000, 2000, 2000, 3000, 3000, 3000, 3000]


def test_batch_size_support_and_query_rays_are_the_tasks_of_a_step(prepared, monkeypatch):
    training = prepared(**META, batch_size=3, support_rays=90, query_rays=40)
    sizes, rays = [], training.joint.store.rays
    monkeypatch.setattr(training.joint.store, "rays", lambda pixels: sizes.append(len(pixels)) or rays(pixels))
    training._meta_step(meta_training.rates_of(training.run.spec))
    del sizes[-1]  # of its look around
    assert len(sizes) == 3 * 2
    assert all(0 < support <= 2 * 90 for support in sizes[::2])  # two experts have one task each
    assert all(0 < query <= 2 * 40 for query in sizes[1::2])
    assert sum(sizes[::2]) > 1.5 * sum(sizes[1::2])


def test_cell_dim_cuts_each_experts_ground(prepared):
    cells = [sum(map(len, prepared(str(dim), **META, cell_dim=dim)._find_cells())) for dim in (1, 3)]
    assert cells[0] == 2
    assert 6 < cells[1] <= 18


def test_test_batch_size_is_how_many_val_photos_are_scored(prepared):
    assert [len(prepared(str(count), test_batch_size=count).val) for count in (1, 2, 9)] == [1, 2, 2]


def test_num_submodules_must_be_the_number_of_experts(train_job):
    train_job("right", num_submodules=2, outer_steps=1)
    with pytest.raises(BadData, match=r"has 2 experts; expected 4, as the job says"):
        train_job("wrong", num_submodules=4)


def test_it_evaluates_and_saves_when_it_is_told_to_and_keeps_the_newest(train_job, monkeypatch):
    scored = []
    score = meta_training.score_photos
    monkeypatch.setattr(meta_training, "score_photos", lambda *args: scored.append(1) or score(*args))
    done = train_job(outer_steps=9, eval_step=2, save_step=3, keep=2)
    assert len(scored) == 5  # at 2, 4, 6, 8, and the end
    store = CheckpointStore.of_job(done.out)
    assert set(store.steps()) >= {6, 9}
    assert 3 not in store.steps()
    assert {name for name in store.names() if not name.startswith("step")} == {"best", "last"}


def test_use_amp_computes_in_halves_or_says_that_it_does_not(train_job, tmp_path):
    plain = learned(train_job("plain", use_amp=False).out)
    halved = learned(train_job("halved", use_amp=True).out)
    warnings = json.loads((tmp_path / "halved" / "progress.json").read_text())["warnings"]
    assert (plain != halved) == (not any("use_amp has no effect" in text for text in warnings))


@pytest.mark.parametrize(("gpus", "takes", "warned"), [(1, "cpu", True), (1, "cuda", False), (0, "cpu", False)])
def test_a_gpu_that_is_left_alone_is_told(training_scene, tmp_path, monkeypatch, gpus, takes, warned):
    run = training_run(training_scene, tmp_path / "job", gpus=gpus)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(opening, "device_for", lambda _: torch.device(takes))
    opening.set_up_arithmetic(run)
    assert any("the GPU is left alone" in text for text in run.progress.warnings) == warned
