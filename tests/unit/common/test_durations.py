import pytest

from adaptive_nerf.common.durations import duration


@pytest.mark.parametrize(("seconds", "told"), [
    (None, ""), (float("nan"), "unknown"), (float("inf"), "unknown"), (-3, "0 s"), (0, "0 s"), (42.2, "42 s"),
    (90, "90 s"), (119.6, "2 min"), (300, "5 min"), (3599, "59 min"), (3600, "1 h 00 min"), (7500, "2 h 05 min"),
    (300_000, "3 d 11 h")])
def test_a_duration_is_as_exact_as_a_glance(seconds, told):
    assert duration(seconds) == told
