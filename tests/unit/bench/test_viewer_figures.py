"""What the bench reads from the page is what the page says."""

import json
import math

import pytest

from adaptive_nerf.geometry.frames import local_frame
from adaptive_nerf.jobs.message import read_job
from adaptive_nerf.viewer.adapt_words import adaptation_html
from adaptive_nerf.viewer.backend import AdaptationStatus
from adaptive_nerf.viewer.measurements import Measurements, measurement_words
from adaptive_nerf.viewer.plain_words import escaped
from bench.viewer import of_adaptation
from bench.viewer_figures import STEP, TOLD, click_figures


def test_what_the_page_learns_in_the_bench_is_an_adaptation_by_the_examples_of_the_repository(clone):
    fields = of_adaptation(json.loads((clone / "configs" / "view.json").read_bytes()))
    job = read_job(json.dumps(fields | {"op": "adapt", "batch": "event", "tto": [64]}).encode()).job
    assert (job.checkpoint_path, job.downscale) == ("logs/example", 1.0)


def test_the_coordinates_of_a_clicked_point_are_read_from_what_the_page_tells():
    frame = local_frame((48.2, 16.37, 180.0))
    point = Measurements().with_point((0.0, 0.0, 0.0), 0.1).items[0]
    told = f"**{escaped(point.name)}**: {escaped(measurement_words(point, frame), 400)}".replace("\\", "")
    number, *place = TOLD.search(told).groups()
    assert number == "1"
    assert [float(value) for value in place] == pytest.approx([48.2, 16.37, 180.0], abs=1e-2)


def test_the_step_of_an_adaptation_is_read_from_what_the_page_tells():
    told = adaptation_html(AdaptationStatus(flight="event", steps=3, of=64, running=True), "")
    assert STEP.search(told).groups() == ("3", "64")


@pytest.mark.parametrize(("took_s", "errors_m", "infinite"), [
    ([], [], 3), ([], [math.inf] * 3, 3), ([0.1, 0.2], [0.1, 0.3, math.inf], 1)])
def test_clicks_that_found_nothing_are_infinitely_wrong_and_no_clicks_are_a_figure_too(took_s, errors_m, infinite):
    values = [figure.value for figure in click_figures(took_s, errors_m)]
    assert sum(not math.isfinite(value) for value in values) == infinite
