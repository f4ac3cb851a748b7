"""LPIPS through an evaluation: a figure where there are weights and pictures large enough, else the reason."""

import csv
import json

import pytest
import torch
from torchvision.models import alexnet

from adaptive_nerf.pipelines.evaluation import evaluate
from tests.unit.pipelines.eval_scene import FLIGHT, eval_run, make_evaluated_root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Photos of 96x72."""
    return make_evaluated_root(tmp_path_factory.mktemp("large"), times=3)


@pytest.fixture
def weights(root):
    """Of the right shapes, but random."""
    path = root / "alexnet.pth"
    torch.manual_seed(1)
    torch.save({name: value for name, value in alexnet(weights=None).state_dict().items() if "features" in name}, path)
    return path


def lpips_in(path) -> list[str]:
    with path.open(newline="") as stream:
        return [row["lpips"] for row in csv.DictReader(stream)]


def test_it_stands_in_tables_result_and_report(root, weights):
    run = eval_run(root, "large", batch=FLIGHT, tto="0,2", lpips_weights=str(weights), roots=(root,))
    result, told = evaluate(run), json.loads((run.out / "evaluation.json").read_text())
    for tto, figure in zip((0, 2), lpips_in(run.out / "metrics.csv"), strict=True):
        assert result.metrics[f"lpips_{tto}"] == pytest.approx(float(figure), abs=1e-5)
    assert all(float(figure) > 0 for figure in lpips_in(run.out / "per_image.csv"))
    assert told["lpips"] == str(weights)
    report = (run.out / "report.html").read_text()
    assert ">LPIPS</th>" in report
    assert f"LPIPS: {weights}." in report


def test_of_small_pictures_the_reason_is_told_and_not_that_weights_are_missing(root, weights):
    run = eval_run(root, "small", batch=FLIGHT, tto=0, lpips_weights=str(weights), roots=(root,), downscale=0.5)
    reason = "not computed: a picture has less than 64 px"
    assert "lpips_0" not in evaluate(run).metrics
    for name in ("metrics.csv", "per_image.csv"):
        assert set(lpips_in(run.out / name)) == {reason}
    assert f"LPIPS: {reason}." in (run.out / "report.html").read_text()
