"""How many threads the kernels use, and who says so."""

import pytest

from adaptive_nerf.common.cores import usable_cores
from adaptive_nerf.common.errors import BadUsage
from adaptive_nerf.engine import threads


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(threads, "_chosen", [])
    monkeypatch.delenv(threads.VARIABLE, raising=False)


def test_all_usable_cores_serve_where_nothing_is_said():
    assert threads.threads() == usable_cores()


def test_the_environment_says_how_many_and_a_call_overrules_it(monkeypatch):
    monkeypatch.setenv(threads.VARIABLE, "3")
    assert threads.threads() == 3
    threads.set_threads(5)
    assert threads.threads() == 5


@pytest.mark.parametrize("said", ["0", "-1", "many", "1.5"])
def test_a_number_that_is_none_is_refused(monkeypatch, said):
    monkeypatch.setenv(threads.VARIABLE, said)
    with pytest.raises(BadUsage, match="ADAPTIVE_NERF_THREADS"):
        threads.threads()
    with pytest.raises(ValueError, match="at least one thread"):
        threads.set_threads(0)
