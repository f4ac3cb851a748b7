"""What is missing is passed over at home, and never in CI."""

import pytest

from tests.support.missing import missing


def test_what_is_missing_skips_at_home(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="there is no nginx"):
        missing("there is no nginx")


def test_what_is_missing_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="there is no nginx"):
        missing("there is no nginx")
