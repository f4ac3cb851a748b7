"""What a test needs and this machine lacks: a skip at home, a failure in CI, where it can be had."""

import os
from typing import NoReturn

import pytest


def missing(why: str) -> NoReturn:
    if "CI" in os.environ:
        pytest.fail(why)
    pytest.skip(why)
