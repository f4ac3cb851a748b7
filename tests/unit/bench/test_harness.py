import json
import os

import numpy as np
import pytest

from bench.harness import Figure, report
from bench.roofline import compiler, probe


@pytest.mark.parametrize(("better", "value", "meets"), [
    ("higher", 15.0, True), ("higher", 14.9, False), ("lower", 40.0, True), ("lower", 40.1, False)])
def test_a_figure_says_whether_it_meets_what_was_asked(better, value, meets):
    assert Figure("speed", value, "1/s", 15.0 if better == "higher" else 40.0, better).meets is meets


def test_a_figure_that_nobody_asked_for_has_no_verdict():
    assert Figure("speed", 1.0, "1/s").meets is None


def test_a_json_report_is_exactly_one_object_of_the_agreed_shape(capsys):
    report("data", [Figure("speed", 20.0, "1/s", 15.0)], as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"bench", "at", "machine", "figures"}
    assert said["figures"] == [{"name": "speed", "value": 20.0, "unit": "1/s", "asked": 15.0, "better": "higher",
                                "meets": True}]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_what_is_no_finite_number_is_null_in_json_and_meets_nothing(capsys, value, better):
    report("data", [Figure("error", value, "m", 0.5, better)], as_json=True)
    (figure,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["figures"]
    assert (figure["value"], figure["meets"]) == (None, False)


def test_a_missed_figure_is_told_to_people(capsys):
    report("data", [Figure("town_default_s", 50.0, "s", 40.0, "lower")], as_json=False)
    assert "NO" in capsys.readouterr().out


@pytest.fixture
def roofline():
    if compiler() is None and "CI" not in os.environ:
        pytest.skip("the roofline probe needs a C++ compiler")
    return probe()


def test_the_roofline_has_three_rates_above_nothing(roofline):
    assert all(np.isfinite(figure.value) and figure.value > 0 for figure in roofline.figures())
    assert len(roofline.figures()) == 3


def test_the_probe_leaves_the_arithmetic_of_this_process_alone(roofline):
    assert np.nextafter(0, 1) * 1.0 > 0  # subnormal numbers are not flushed to zero
