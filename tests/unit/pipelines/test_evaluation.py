import csv
import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from adaptive_nerf.common.errors import BadData, BadUsage, Failure
from adaptive_nerf.common.run_progress import StopRequested
from adaptive_nerf.data.scene import open_scene
from adaptive_nerf.jobs.states import Exit
from adaptive_nerf.pipelines import adapter as adapter_module
from adaptive_nerf.pipelines.adaptation import adapt
from adaptive_nerf.pipelines.eval_old_photos import chosen
from adaptive_nerf.pipelines.evaluation import evaluate
from adaptive_nerf.pipelines.patience import FEWEST_SAMPLES
from tests.unit.pipelines.adapt_scene import adapt_run
from tests.unit.pipelines.eval_scene import (
    FLIGHT,
    TRUE_DEPTH_M,
    add_truth,
    eval_message,
    eval_run,
    make_evaluated_root,
)
from tests.unit.pipelines.training.factory import Heard


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_evaluated_root(tmp_path_factory.mktemp("evaluated"))


@pytest.fixture(scope="module")
def flight(root):
    """The later flight, evaluated with the protocol that is the default."""
    run = eval_run(root, "flight", batch=FLIGHT)
    return run.out, evaluate(run)


@pytest.fixture(scope="module")
def absorbing(root):
    """Jobs that have absorbed photos of the scene, by the flight; each is made once."""
    def job(batch):
        name = f"absorbed-{batch or 'val'}"
        if not (root / "logs" / name).exists():
            adapt(adapt_run(root, root / "logs" / name, batch=batch, tto=1))
        return name
    return job


@pytest.fixture
def town(root, tmp_path):
    """The same scene with the truth beside it."""
    shutil.copytree(root, tmp_path / "town")
    add_truth(tmp_path / "town" / "scene")
    return tmp_path / "town"


def told(folder):
    return json.loads((folder / "evaluation.json").read_text())


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def picture(path):
    return np.asarray(Image.open(path))


def test_held_out_scores_the_fourth_photo_and_adapts_on_the_others(flight):
    folder, result = flight
    assert {row["photo"] for row in rows(folder / "per_image.csv")} == {"LATER_15.JPG"}
    assert (result.metrics["photos_scored"], result.metrics["photos_adapted"]) == (1, 4)
    assert told(folder)["protocol"] == "held_out"


def test_held_out_never_draws_a_ray_of_a_photo_that_it_scores(root, monkeypatch):
    seen = set()
    learned = adapter_module.Adapter.__init__

    def watched(self, base, new, old, *rest):
        seen.update(loaded.photo.photo_id for loaded in (*new, *old))
        learned(self, base, new, old, *rest)

    monkeypatch.setattr(adapter_module.Adapter, "__init__", watched)
    run = eval_run(root, "rays", batch=FLIGHT, tto=1)
    evaluate(run)
    scored = {int(row["id"]) for row in rows(run.out / "per_image.csv")}
    assert scored == {15}
    assert seen
    assert not seen & (scored | {2, 5}), "nor of the old photos that tell what is forgotten"


@pytest.mark.parametrize(("batch", "learner"), [(FLIGHT, f"adapt of flight {FLIGHT}"), ("", "adapt of the val photos")])
def test_photos_that_the_checkpoint_has_absorbed_are_not_told_as_held_out(root, absorbing, batch, learner):
    run = eval_run(root, "learned", batch=batch, tto=0, checkpoint_path=absorbing(batch))
    evaluate(run)
    assert any(f"1 of 1 scored photos were learned before, by {learner}: these are not held-out figures" in text
               for text in run.progress.warnings)
    report = (run.out / "report.html").read_text()
    assert "the checkpoint had learned 1 of these 1 before" in report
    assert "that it was not adapted on" not in report


def test_photos_that_the_checkpoint_has_not_absorbed_are_held_out_though_it_absorbed_others(root, absorbing):
    run = eval_run(root, "other", batch=FLIGHT, tto=0, checkpoint_path=absorbing(""))
    evaluate(run)
    assert not any("scored photos were learned" in text for text in run.progress.warnings)
    assert "Held out: " in (run.out / "report.html").read_text()


def test_val_photos_that_were_absorbed_tell_of_forgetting_as_learned_ones(root, absorbing):
    run = eval_run(root, "recalled", batch=FLIGHT, tto=1, checkpoint_path=absorbing(""))
    evaluate(run)
    assert told(run.out)["forgetting"][0]["trained_on"]
    assert any("2 of 2 old photos that tell what is forgotten were learned before, by adapt of the val photos" in text
               for text in run.progress.warnings)


def test_same_images_scores_what_it_adapts_on_also_in_the_photos_own_look(root):
    run = eval_run(root, "same", batch=FLIGHT, protocol="same_images", test_batch_size=3, tto="0,30")
    result = evaluate(run)
    names = [row["photo"] for row in rows(run.out / "per_image.csv") if row["tto"] == "0"]
    assert names == [f"LATER_{number}.JPG" for number in range(12, 17)]
    assert (told(run.out)["protocol"], told(run.out)["batches"]) == ("same_images", 2)
    assert result.metrics["own_db_0"] == pytest.approx(result.metrics["neutral_db_0"])
    assert result.metrics["own_linear_db_30"] > result.metrics["neutral_linear_db_30"]
    assert "Own look" in (run.out / "report.html").read_text()


def test_the_figures_of_a_held_out_photo_know_no_look_of_its_own(flight):
    folder, result = flight
    assert not any(name.startswith("own") for name in result.metrics)
    assert "Own look" not in (folder / "report.html").read_text()


@pytest.mark.parametrize("tto", [0, 2, 3])
def test_each_number_of_steps_is_what_a_run_of_its_own_from_the_base_reaches(root, flight, tto):
    together, result = flight
    alone = eval_run(root, f"alone{tto}", batch=FLIGHT, tto=tto)
    metrics = evaluate(alone).metrics
    for kind in ("pred", "error"):
        (name,) = [path.name for path in (alone.out / kind / str(tto)).iterdir()]
        assert (alone.out / kind / str(tto) / name).read_bytes() == (together / kind / str(tto) / name).read_bytes()
    for name, value in metrics.items():
        if "_s_" not in name and "seconds" not in name:
            assert value == result.metrics[name], name


def test_steps_are_told_in_ascending_order_whatever_was_asked(root):
    run = eval_run(root, "order", batch=FLIGHT, tto=[3, 0, 3])
    evaluate(run)
    assert [row["tto"] for row in rows(run.out / "metrics.csv")] == ["0", "3"]


def test_neutral_and_fitted_stand_side_by_side_everywhere(flight):
    folder, result = flight
    for tto in (0, 2, 3):
        assert {f"{look}_{figure}_{tto}" for look in ("neutral", "fitted") for figure in ("db", "linear_db", "ssim")} \
            <= result.metrics.keys()
    last = rows(folder / "metrics.csv")[-1]
    assert float(last["neutral_psnr_db"]) == pytest.approx(result.metrics["neutral_db_3"], abs=1e-4)
    assert float(last["fitted_psnr_db"]) == pytest.approx(result.metrics["fitted_db_3"], abs=1e-4)


def test_everything_a_job_leaves_is_there_and_pictures_decode(flight):
    folder, result = flight
    assert all((folder / artifact).exists() for artifact in result.artifacts)
    photo = picture(folder / "gt" / "LATER_15.png")
    source = open_scene(folder.parent.parent / "scene").flights[FLIGHT][3].pixels()
    np.testing.assert_array_equal(photo, source)
    for tto in (0, 2, 3):
        for kind in ("pred", "error"):
            assert picture(folder / kind / str(tto) / "LATER_15.png").shape == photo.shape
        assert picture(folder / "depth" / str(tto) / "LATER_15.png").shape[1] == photo.shape[1]
    assert list((folder / "tensorboard").iterdir())
    assert json.loads((folder / "progress.json").read_text())["eta_s"] == 0
    assert (folder / "report.html").read_text().count("<img") == 5


def test_adaptation_moves_the_score_and_takes_time_that_is_told(flight):
    _, result = flight
    assert result.metrics["neutral_db_3"] != result.metrics["neutral_db_0"]
    assert result.metrics["seconds_0"] == 0
    assert 0 < result.metrics["steps_s_2"] < result.metrics["steps_s_3"] < result.metrics["seconds_3"]


def test_experts_are_told_at_every_number_of_steps(flight):
    assert {(record["expert"], record["tto"]) for record in told(flight[0])["experts"]} >= {(1, 0), (1, 2), (1, 3)}


def test_val_photos_tell_what_a_later_flight_made_it_forget(flight):
    _, result = flight
    first, last = told(flight[0])["forgetting"]
    assert (first["tto"], last["tto"], last["photos"], last["trained_on"]) == (2, 3, 2, False)
    lost = last["after"]["neutral"]["psnr_db"] - last["before"]["neutral"]["psnr_db"]
    assert result.metrics["forgetting_neutral_db_3"] == pytest.approx(lost)
    assert lost != 0
    assert not last["unchanged_pixels_only"]


def test_where_val_photos_are_adapted_on_train_photos_are_watched_and_these_are_not_replayed(root):
    watched, replayed, trained_on = chosen(open_scene(root / "scene"), "")
    assert trained_on
    assert {photo.split for photo in (*watched, *replayed)} == {"train"}
    assert len(watched) == 2
    assert not {photo.photo_id for photo in watched} & {photo.photo_id for photo in replayed}
    watched, _, trained_on = chosen(open_scene(root / "scene"), FLIGHT)
    assert not trained_on
    assert {photo.split for photo in watched} == {"val"}


def test_with_truth_only_unchanged_pixels_tell_what_was_forgotten(town):
    before = evaluate(eval_run(town, "before", batch=FLIGHT, tto=2))
    for photo in open_scene(town / "scene").split("val"):  # ruin what changed: nobody may look there
        pixels = np.array(Image.open(photo.image_path))
        pixels[:, 24:] = (255, 0, 255)
        Image.fromarray(pixels).save(photo.image_path)
    run = eval_run(town, "ruined", batch=FLIGHT, tto=2)
    after = evaluate(run)
    (record,) = told(run.out)["forgetting"]
    assert record["unchanged_pixels_only"]
    assert after.metrics["forgetting_neutral_db_2"] == before.metrics["forgetting_neutral_db_2"]


def test_with_truth_depth_has_metres_and_changed_ground_its_own_figures(town, flight):
    run = eval_run(town, "truth", batch=FLIGHT)
    metrics = evaluate(run).metrics
    assert 0 < metrics["depth_median_m_0"] < TRUE_DEPTH_M
    assert metrics["changed_neutral_db_3"] != metrics["unchanged_neutral_db_3"]
    (first, *_) = told(run.out)["changes"]
    assert (first["changed_share"], first["photos"]) == (0.25, 1)
    assert "What the event changed" in (run.out / "report.html").read_text()
    assert not any(name.startswith(("depth", "changed")) for name in flight[1].metrics), "without truth none is told"


def test_the_truth_is_found_too_where_data_path_is_the_prepared_scene_itself(town):
    (town / "made" / "out").mkdir(parents=True)
    (town / "scene" / "truth").rename(town / "made" / "truth")
    scene = (town / "scene").rename(town / "made" / "out" / "scene")
    fields = {"data_path": str(scene), "batch": FLIGHT, "tto": 0}
    assert "depth_median_m_0" in evaluate(eval_run(town, "straight", **fields)).metrics
    roots = scene, town / "logs"
    assert "depth_median_m_0" not in evaluate(eval_run(town, "rooted", roots=roots, **fields)).metrics


def test_in_the_first_flight_nothing_has_changed_yet(town):
    run = eval_run(town, "first", tto=0)
    metrics = evaluate(run).metrics
    assert "depth_median_m_0" in metrics
    assert told(run.out)["changes"] == []


def test_without_a_flight_the_val_photos_are_evaluated(root):
    run = eval_run(root, "val", tto=1)
    evaluate(run)
    assert [row["photo"] for row in rows(run.out / "per_image.csv")] == ["DJI_5.JPG"]
    assert told(run.out)["forgetting"][0]["trained_on"]


def test_stopped_it_tells_what_was_scored_by_then(root):
    folder = root / "logs" / "stopped"
    run = eval_run(root, "stopped", batch=FLIGHT, tto="0,2,1000",
                   stop=(folder / "pred" / "2").exists)
    with pytest.raises(StopRequested) as stopped:
        evaluate(run)
    assert "neutral_db_0" in stopped.value.result.metrics
    assert "neutral_db_1000" not in stopped.value.result.metrics
    assert "stopped: 1 of 1 batches were begun" in (folder / "report.html").read_text()


def test_stopped_before_the_first_score_there_is_nothing_to_tell(root):
    asked = iter([False] * 15)
    run = eval_run(root, "early", batch=FLIGHT, stop=lambda: next(asked, True))
    with pytest.raises(StopRequested) as stopped:
        evaluate(run)
    assert stopped.value.result is None
    assert not (run.out / "report.html").exists()


@pytest.mark.parametrize("fields", [
    {"batch": FLIGHT}, {"batch": FLIGHT, "tto": "2,3"}, {"batch": FLIGHT, "protocol": "same_images"},
    {"batch": FLIGHT, "protocol": "same_images", "test_batch_size": 2}, {"tto": 0}])
def test_the_bar_is_full_when_the_last_picture_is_scored_and_not_before(root, fields):
    run = eval_run(root, "bar", **fields)
    run = replace(run, progress=Heard(run.out / "progress.json"))
    evaluate(run)
    done = [step for (step, _), metrics in zip(run.progress.steps, run.progress.metrics, strict=True)
            if not any(name.startswith(("neutral", "fitted")) for name in metrics)]  # these tell scores, not work
    assert all(earlier < later for earlier, later in itertools.pairwise(done))
    assert run.progress.steps[-1] == (done[-1], done[-1])


def test_a_batch_that_was_cut_short_does_not_mix_into_the_means_of_others(root):
    folder = root / "logs" / "cut"
    run = eval_run(root, "cut", batch=FLIGHT, protocol="same_images", test_batch_size=3, tto="0,2",
                   stop=(folder / "pred" / "0" / "LATER_16.png").exists)
    with pytest.raises(StopRequested):
        evaluate(run)
    assert [record["photos"] for record in told(folder)["ttos"]] == [3, 3]
    assert told(folder)["photos_adapted"] == 3


def out_of_memory(monkeypatch, times):
    """The first steps of an adaptation find none; returns with how many samples they were tried."""
    step, tried = adapter_module.Adapter.step, []

    def short(self):
        if len(tried) < times:
            tried.append(self.joint.sampling.samples)
            raise MemoryError
        return step(self)
    monkeypatch.setattr(adapter_module.Adapter, "step", short)
    return tried


def test_want_of_memory_makes_steps_smaller_and_is_told(root, monkeypatch):
    tried = out_of_memory(monkeypatch, 1)
    run = eval_run(root, "short", batch=FLIGHT, tto=2)
    assert "neutral_db_2" in evaluate(run).metrics
    assert len(tried) == 1
    assert any("made them smaller" in text for text in run.progress.warnings)


def test_memory_that_never_suffices_ends_the_runner_with_76_and_what_was_scored_is_told(
        root, monkeypatch, run_by_runner):
    tried, folder = out_of_memory(monkeypatch, 100), root / "logs" / "exhausted"
    assert run_by_runner(eval_message(root, batch=FLIGHT, tto="0,2"), folder) is Exit.OUT_OF_MEMORY
    assert tried[-1] <= FEWEST_SAMPLES < tried[0]
    assert [row["tto"] for row in rows(folder / "metrics.csv")] == ["0"]
    assert (folder / "report.html").exists()


def test_a_loss_that_is_no_number_for_long_fails_with_the_rates(root, monkeypatch):
    step = adapter_module.Adapter.step

    def broken(self):
        taken = step(self)
        return type(taken)(float("nan"), float("nan"), taken.rays, taken.samples, False)

    monkeypatch.setattr(adapter_module.Adapter, "step", broken)
    run = eval_run(root, "nan", batch=FLIGHT, tto="0,40")
    with pytest.raises(Failure, match=r"20 steps in a row.*tables 0\.0225"):
        evaluate(run)
    assert [row["tto"] for row in rows(run.out / "metrics.csv")] == ["0"], "what was scored by then is told"
    assert "failed: 1 of 1 batches were begun" in (run.out / "report.html").read_text()


@pytest.mark.parametrize(("fields", "error", "words"), [
    ({"batch": "never"}, BadData, "there are: later"),
    ({"checkpoint_path": ""}, BadUsage, "checkpoint_path is missing"),
    ({"test_batch_size": 1}, BadUsage, "same_images"),
    ({"levels": 16}, BadData, "levels.*has 4, the job says 16"),
    ({"mask_dirname": "none"}, BadData, "none: is not there"),
])
def test_what_makes_no_sense_is_refused_in_words(root, fields, error, words):
    with pytest.raises(error, match=words):
        evaluate(eval_run(root, "refused", **fields))


def test_lpips_is_never_made_up(root, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    run = eval_run(root, "lpips", batch=FLIGHT, tto=0, lpips_weights=str(tmp_path / "none.pth"))
    result = evaluate(run)
    assert told(run.out)["lpips"] == "not computed: weights missing"
    assert rows(run.out / "metrics.csv")[0]["lpips"] == "not computed: weights missing"
    assert "lpips_0" not in result.metrics
    assert any("none.pth is not there" in warning for warning in run.progress.warnings)


def test_lpips_weights_must_lie_where_a_job_may_read(root, tmp_path):
    with pytest.raises(BadUsage, match="lpips_weights"):
        evaluate(eval_run(root, "outside", lpips_weights="/etc/passwd", roots=(root,)))


@pytest.mark.parametrize("fields", [{"far": 20.0}, {"near": 60.0}, {"downscale": 0.5}, {"replay": 0.0}, {"seed": 5},
                                    {"support_rays": 64}, {"encoding_lr": 0.1}, {"boundary_margin": 1.0},
                                    {"routing": "inverse"}, {"ray_samples": 4}])
def test_the_fields_of_a_job_have_an_effect(root, flight, fields):
    metrics = evaluate(eval_run(root, "field", batch=FLIGHT, tto=3, **fields)).metrics
    assert metrics["neutral_db_3"] != flight[1].metrics["neutral_db_3"]


def test_fewer_points_at_once_change_no_figure(root, flight):
    metrics = evaluate(eval_run(root, "chunks", batch=FLIGHT, tto=3, chunk_points=500)).metrics
    assert metrics["neutral_db_3"] == pytest.approx(flight[1].metrics["neutral_db_3"], abs=1e-3)
