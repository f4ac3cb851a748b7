"""The operation `adapt`: what it leaves in its job's folder, when it ends, and what it refuses."""

import itertools
import json
import os
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adaptive_nerf import nerf_runner
from adaptive_nerf.common.errors import BadData, BadInput, BadUsage, Failure
from adaptive_nerf.common.run_progress import StopRequested
from adaptive_nerf.engine import precision
from adaptive_nerf.jobs.states import Exit
from adaptive_nerf.models.checkpoint import Checkpoint, open_checkpoint, save
from adaptive_nerf.models.checkpoint_store import CheckpointStore
from adaptive_nerf.models.field import Field
from adaptive_nerf.pipelines import adaptation
from adaptive_nerf.pipelines.adaptation import adapt, base_of, evenly
from adaptive_nerf.pipelines.adapter import Adapter
from adaptive_nerf.pipelines.opening import scene_of
from adaptive_nerf.pipelines.patience import FEWEST_SAMPLES, MOST_SKIPPED_IN_A_ROW
from adaptive_nerf.pipelines.rates import for_a_base_of
from tests.unit.pipelines.adapt_scene import (
    FLIGHT,
    TRAINED_STEPS,
    adapt_message,
    adapt_run,
    make_adapted_root,
    small_world,
)
from tests.unit.pipelines.training.factory import write_training_scene


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_adapted_root(tmp_path_factory.mktemp("adapted"))


@pytest.fixture(autouse=True)
def coarse_cells(monkeypatch):
    small_world(monkeypatch)
    monkeypatch.setattr(precision, "_wish", [False])


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """A job of eight steps, saved after the fourth too: the base, the job's folder and result."""
    with pytest.MonkeyPatch.context() as patch:
        small_world(patch)
        run = adapt_run(root, tmp_path_factory.mktemp("done") / "job", tto="4,8")
        return base_checkpoint(root), run.out, adapt(run)


def base_checkpoint(root) -> Checkpoint:
    return last_of(root / "logs" / "trained")


def last_of(job) -> Checkpoint:
    return open_checkpoint(CheckpointStore.of_job(job).pointed("last"))


def at(job, steps: int) -> Checkpoint:
    return open_checkpoint(CheckpointStore.of_job(job).steps()[TRAINED_STEPS + steps])


def digests(checkpoint: Checkpoint) -> dict[str, str]:
    return {record.file: record.sha256 for record in (*checkpoint.manifest.experts, checkpoint.manifest.shared)}


def stopped_after(monkeypatch, steps: int):
    """A stop that is asked for once so many steps are done."""
    taken = []
    step = Adapter.step
    monkeypatch.setattr(Adapter, "step", lambda self: taken.append(1) or step(self))
    return lambda: len(taken) >= steps


def test_only_touched_experts_are_written_and_the_others_are_the_bases_own_files(done):
    base, job, result = done
    new = last_of(job)
    shared = {record.file for record in base.manifest.experts
              if (base.folder / record.file).samefile(new.folder / record.file)}
    assert len(shared) == 4 - result.metrics["touched_experts"] > 0
    for record in base.manifest.experts:
        assert (digests(new)[record.file] == record.sha256) is (record.file in shared)
    assert new.manifest.kind == "adapt"


def test_the_lineage_tells_what_was_done_to_which_base(done):
    base, job, _ = done
    (lineage,) = at(job, 4).manifest.lineage[len(base.manifest.lineage):]
    assert (lineage.base, lineage.op, lineage.batch, lineage.steps) == (base.digest, "adapt", FLIGHT, 4)
    assert last_of(job).manifest.lineage[-1].steps == 8


def test_the_base_lies_beside_as_links_and_is_the_one_that_the_lineage_tells(done):
    base, job, _ = done
    kept = at(job, 0)
    assert kept.digest == last_of(job).manifest.lineage[-1].base
    for path in base.folder.iterdir():
        assert path.samefile(kept.folder / path.name)
    assert torch.equal(kept.load().field.parameters.tables, base.load().field.parameters.tables)


def test_what_is_saved_is_what_was_learned(root, tmp_path, monkeypatch):
    models, model = [], Adapter.model
    monkeypatch.setattr(Adapter, "model", lambda self, *told: models.append(model(self, *told)) or models[-1])
    run = adapt_run(root, tmp_path / "job", tto=20)
    adapt(run)
    saved, learned = last_of(run.out).load(), models[-1]
    for name, value in saved.field.parameters.named():
        assert torch.equal(value, getattr(learned.field.parameters, name)), name
    assert torch.equal(saved.field.grids.occupancy.words, learned.field.grids.occupancy.words)
    assert torch.equal(saved.appearance.values, learned.appearance.values)


def test_each_number_of_steps_is_saved_and_is_what_a_job_of_its_own_reaches(root, done, tmp_path):
    _, job, _ = done
    assert list(CheckpointStore.of_job(job).steps()) == [TRAINED_STEPS, TRAINED_STEPS + 4, TRAINED_STEPS + 8]
    for steps in (4, 8):
        alone = adapt_run(root, tmp_path / f"alone{steps}", tto=steps)
        adapt(alone)
        assert digests(last_of(alone.out)) == digests(at(job, steps))


def test_best_and_last_are_the_most_steps_and_the_result_names_them(done):
    _, job, result = done
    store = CheckpointStore.of_job(job)
    assert store.pointed("best") == store.pointed("last") == store.place(TRAINED_STEPS + 8)
    assert result.artifacts == (f"checkpoints/step{TRAINED_STEPS + 8:06d}",)
    assert (result.metrics["steps"], result.metrics["skipped_steps"]) == (8, 0)
    assert result.metrics["train_psnr_db"] > 5
    assert list((job / "tensorboard").iterdir())
    told = json.loads((job / "progress.json").read_text())
    assert (told["step"], told["of"], told["eta_s"]) == (8, 8, 0)


def test_tensorboard_shows_a_new_photo_before_and_whenever_it_is_saved(done):
    seen = EventAccumulator(str(done[1] / "tensorboard"))
    seen.Reload()
    assert seen.Tags()["images"] == ["adapt/000012"]
    pictures = seen.Images("adapt/000012")
    assert [event.step for event in pictures] == [0, 4, 8]
    assert pictures[1].encoded_image_string != pictures[2].encoded_image_string


def test_no_steps_leave_the_base(root, tmp_path):
    run = adapt_run(root, tmp_path / "job", tto=0)
    assert adapt(run).metrics["steps"] == 0
    assert last_of(run.out).digest == base_checkpoint(root).digest


def test_an_adapted_model_can_be_adapted_again_and_undone_to_either(root, done, tmp_path):
    _, job, _ = done
    run = adapt_run(root, tmp_path / "again", checkpoint_path=str(job), tto=2)
    adapt(run)
    assert [told.base for told in last_of(run.out).manifest.lineage[-2:]] == [base_checkpoint(root).digest,
                                                                           last_of(job).digest]
    assert list(CheckpointStore.of_job(run.out).steps()) == [TRAINED_STEPS + 8, TRAINED_STEPS + 10]


@pytest.mark.parametrize("tto", [2, 400])
def test_seconds_bound_the_run_instead_of_steps(root, tmp_path, monkeypatch, tto):
    clock = itertools.count()
    monkeypatch.setattr(adaptation, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    run = adapt_run(root, tmp_path / "job", tto=tto, seconds=20.0)
    result = adapt(run)
    assert 20 <= result.metrics["seconds"] <= 23
    assert 5 <= result.metrics["steps"] <= 20
    assert last_of(run.out).manifest.step == TRAINED_STEPS + result.metrics["steps"]
    assert run.progress.steps[-1][1] == 20


def test_a_stop_leaves_a_checkpoint_and_a_result_and_the_next_attempt_ends_as_if_never_stopped(
        root, done, tmp_path, monkeypatch):
    run = adapt_run(root, tmp_path / "job", stop=stopped_after(monkeypatch, 3))
    with pytest.raises(StopRequested) as stopped:
        adapt(run)
    assert stopped.value.result.metrics["steps"] == 3
    assert last_of(run.out).manifest.step == TRAINED_STEPS + 3
    assert last_of(run.out).load()
    adapt(replace(run, stop_requested=lambda: False))
    assert digests(last_of(run.out)) == digests(at(done[1], 8))


def test_a_stop_before_the_first_step_is_a_stop_too(root, tmp_path, monkeypatch):
    asked = []
    looks = "adaptive_nerf.pipelines.adapter.first_looks"
    first_looks = adaptation.Adapter.__init__.__globals__["first_looks"]
    monkeypatch.setattr(looks, lambda *told: asked.append(1) or first_looks(*told))
    with pytest.raises(StopRequested, match="before the first step"):
        adapt(adapt_run(root, tmp_path / "job", stop=lambda: bool(asked)))


def test_a_stop_before_the_first_step_has_a_result_all_the_same(root, tmp_path, monkeypatch, run_by_runner):
    monkeypatch.setattr(adaptation, "old_photos", lambda *_: os.kill(os.getpid(), signal.SIGTERM) or [])
    assert run_by_runner(adapt_message(root), tmp_path / "job") is Exit.STOPPED
    assert json.loads((tmp_path / "job" / "result.json").read_text())["stopped"]


def test_pointers_are_right_after_a_kill_between_checkpoint_and_pointer(root, done, tmp_path):
    shutil.copytree(done[1] / "checkpoints", tmp_path / "job" / "checkpoints")
    store = CheckpointStore.of_job(tmp_path / "job")
    store.point("last", store.place(TRAINED_STEPS))
    (store.folder / "best").unlink()
    adapt(adapt_run(root, tmp_path / "job", tto=8))
    assert store.pointed("best") == store.pointed("last") == store.place(TRAINED_STEPS + 8)


def test_what_a_killed_attempt_left_half_written_is_removed(root, tmp_path):
    left = tmp_path / "job" / "checkpoints" / ".step000999.partial"
    left.mkdir(parents=True)
    (left / "expert_000.safetensors").write_text("x")
    adapt(adapt_run(root, tmp_path / "job", tto=1))
    assert not list(left.parent.glob(".step*"))


def test_the_new_photos_are_counted_while_they_are_read_and_looked_at(root, tmp_path):
    run, seen = adapt_run(root, tmp_path / "job", tto=1), []
    preparing = run.progress.preparing
    run.progress.preparing = lambda *told: seen.append(told) or preparing(*told)
    adapt(run)
    read, looked = ([told for told in seen if told[0] == name] for name in ("photos_read", "photos_looked_at"))
    assert read[:3] == [("photos_read", number, 3) for number in (1, 2, 3)]
    assert looked == [("photos_looked_at", number, 3) for number in (1, 2, 3)]


def test_a_prefix_beside_a_checkpoints_own_folder_is_told_to_choose_nothing(root, done, tmp_path):
    folder = at(done[1], 4).folder
    for prefix, warned in (("best", True), ("step84", False), (None, False)):
        run = adapt_run(root, tmp_path / str(prefix), checkpoint_path=str(folder), prefix=prefix, tto=0)
        adapt(run)
        assert any("prefix best has no effect" in text for text in run.progress.warnings) is warned


def test_memory_that_never_suffices_ends_the_runner_with_76(root, tmp_path, monkeypatch, run_by_runner):
    asked = []

    def never(self):
        asked.append(self.joint.sampling.samples)
        raise MemoryError
    monkeypatch.setattr(Adapter, "step", never)
    assert run_by_runner(adapt_message(root), tmp_path / "job") is Exit.OUT_OF_MEMORY
    assert asked[-1] <= FEWEST_SAMPLES < asked[0]
    assert json.loads((tmp_path / "job" / "failure.json").read_text())["cause"] == "out of memory"


def spoil(monkeypatch, spoilt):
    """Adapter.step gives no number at these steps (from 1)."""
    step = Adapter.step

    def taken(self):
        told = step(self)
        return replace(told, loss=float("nan"), psnr_db=float("nan")) if self.steps in spoilt else told
    monkeypatch.setattr(Adapter, "step", taken)


def test_a_step_without_a_number_is_counted_and_the_job_goes_on(root, tmp_path, monkeypatch):
    spoil(monkeypatch, {3, 5})
    result = adapt(adapt_run(root, tmp_path / "job"))
    assert (result.metrics["skipped_steps"], result.metrics["steps"]) == (2, 8)


def test_too_many_without_a_number_end_the_job_with_step_and_rates(root, tmp_path, monkeypatch):
    spoil(monkeypatch, range(3, 100))
    with pytest.raises(Failure, match=rf"up to step {2 + MOST_SKIPPED_IN_A_ROW}.*tables.*appearance"):
        adapt(adapt_run(root, tmp_path / "job", tto=64))


def test_want_of_memory_makes_steps_smaller_and_no_step_is_lost(root, tmp_path, monkeypatch):
    step, failed = Adapter.step, []

    def short_once(self):
        if self.steps == 2 and not failed:
            failed.append(self.joint.sampling.samples)
            raise MemoryError
        return step(self)
    monkeypatch.setattr(Adapter, "step", short_once)
    result = adapt(adapt_run(root, tmp_path / "job"))
    assert (result.metrics["skipped_steps"], result.metrics["steps"], len(failed)) == (1, 8, 1)


def test_routing_and_margin_are_the_checkpoints_unless_the_job_says_otherwise(root, tmp_path):
    run = adapt_run(root, tmp_path / "job", routing="inverse", boundary_margin=1.05, tto=1)
    adapt(run)
    again = adapt_run(root, tmp_path / "again", checkpoint_path=str(run.out))
    regions = base_of(again, scene_of(again))[1].field.regions
    assert (regions.routing, regions.margin) == ("inverse", 1.05)


@pytest.mark.parametrize("chunk_points", [2500, 30_000])
def test_chunk_points_bound_what_is_marched_at_once_and_change_no_weight(
        root, tmp_path, monkeypatch, chunk_points):
    rooms, march, fields = [], Field.march, {"tto": 2, "samples": 2048, "support_rays": 32}
    plain = adapt_run(root, tmp_path / "plain", **fields)
    adapt(plain)
    monkeypatch.setattr(Field, "march", lambda self, rays, room, *told, **named:
                        rooms.append(room) or march(self, rays, room, *told, **named))
    run = adapt_run(root, tmp_path / "job", chunk_points=chunk_points, **fields)
    adapt(run)
    assert max(rooms) == chunk_points
    assert digests(last_of(run.out)) == digests(last_of(plain.out))


def test_photos_for_replay_are_spread_evenly():
    assert evenly(range(100), 4) == [0, 25, 50, 75]
    assert evenly([1, 2], 4) == [1, 2]


REFUSED = {  # fields of the job -> what it says, and the exit code
    "missing batch": ({"batch": "nowhere"}, BadData, f"nowhere.*there are: {FLIGHT}", Exit.BAD_DATA),
    "no checkpoint": ({"checkpoint_path": None}, BadUsage, "checkpoint_path is missing", Exit.BAD_SPEC),
    "checkpoint not there": ({"checkpoint_path": "nowhere"}, BadInput, "holds no checkpoint", Exit.BAD_DATA),
    "prefix not there": ({"prefix": "step7"}, BadInput, rf"there are: .*last.*step{TRAINED_STEPS}", Exit.BAD_DATA),
    "another shape": ({"sigma_depth": 2}, BadData, "sigma_depth.*has 1, the job says 2", Exit.BAD_DATA),
    "more experts": ({"num_submodules": 9}, BadData, "num_submodules.*has 4", Exit.BAD_DATA),
    "background": ({"no_bg_nerf": True}, BadData, "no_bg_nerf.*has False", Exit.BAD_DATA),
    "no such partition": ({"mask_dirname": "none"}, BadData, "none: is not there.*pair, quad", Exit.BAD_DATA),
    "another partition": ({"mask_dirname": "pair"}, BadData, "another partition than pair", Exit.BAD_DATA),
    "another appearance": ({"appearance": "code"}, BadData, "appearance.*has affine", Exit.BAD_DATA)}


@pytest.mark.parametrize(("fields", "error", "says", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_with_the_list_of_what_is_there(root, tmp_path, fields, error, says, code):
    with pytest.raises(error, match=says) as refused:
        adapt(adapt_run(root, tmp_path / "job", **fields))
    assert nerf_runner.exit_code(refused.value) is code
    assert not (tmp_path / "job" / "checkpoints").exists()


def test_what_a_message_says_rightly_of_the_checkpoint_is_taken(root, tmp_path):
    rightly = {"sigma_depth": 1, "num_submodules": 4, "bg_hidden": 16, "no_bg_nerf": False, "mask_dirname": "quad"}
    assert adapt(adapt_run(root, tmp_path / "job", tto=1, **rightly)).metrics["steps"] == 1


def test_rates_of_what_experts_share_are_told_to_have_no_effect(root, tmp_path):
    run = adapt_run(root, tmp_path / "job", tto=1, color_lr=1e-3, bg_lr=1e-3, sigma_lr=1e-3)
    adapt(run)
    assert [text.split(" has no effect in adapt: ")[0] for text in run.progress.warnings] == ["bg_lr", "color_lr"]


@pytest.mark.parametrize(("fields", "near_m", "rate"), [({}, 5.1, 1e-2), ({"near": 0, "appearance_lr": 5e-3}, 0, 5e-3)],
                         ids=["left out", "given"])
def test_the_numbers_that_the_recipe_chose_are_told(root, tmp_path, run_by_runner, fields, near_m, rate):
    job = tmp_path / "job"
    assert run_by_runner(adapt_message(root, tto=1, **fields), job) is Exit.DONE
    told, kept = (json.loads((job / name).read_text()) for name in ("result.json", "job.json"))
    assert told["effective"]["near_m"] == pytest.approx(near_m, abs=0.1)
    assert told["effective"]["far_m"] is None
    assert told["effective"]["rates"] == vars(replace(for_a_base_of(TRAINED_STEPS), appearance=rate))
    assert kept["resolved"]["near"] == fields.get("near")


def test_a_checkpoint_of_another_scene_is_refused(root, tmp_path):
    other = write_training_scene(tmp_path / "other", shift_m=1.0)
    with pytest.raises(BadData, match="another scene") as refused:
        adapt(adapt_run(root, tmp_path / "job", data_path=str(other), batch=""))
    assert nerf_runner.exit_code(refused.value) is Exit.BAD_DATA


def test_a_damaged_checkpoint_is_refused(root, tmp_path):
    base = base_checkpoint(root)
    model = base.load()
    torn = save(tmp_path / "step000001", model, "train")
    file = torn.folder / torn.manifest.experts[0].file
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadData, match="not whole"):
        adapt(adapt_run(root, tmp_path / "job", checkpoint_path=str(torn.folder)))


def test_sigterm_ends_the_runner_with_75_a_checkpoint_and_a_result(root, tmp_path, monkeypatch, run_by_runner):
    step = Adapter.step

    def step_then_signal(self):
        taken = step(self)
        if self.steps == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return taken
    monkeypatch.setattr(Adapter, "step", step_then_signal)
    job = tmp_path / "job"
    assert run_by_runner(adapt_message(root, tto=400), job) is Exit.STOPPED
    told = json.loads((job / "result.json").read_text())
    assert told["stopped"]
    assert told["artifacts"] == [f"checkpoints/step{TRAINED_STEPS + 3:06d}"]
    assert last_of(job).load().lineage[-1].steps == 3
