"""The cpu engine, built once for all workers of a test run; skipped where there is no compiler, except in CI."""

import os

import pytest

from adaptive_nerf.engine.cpu.build import Unavailable
from adaptive_nerf.engine.cpu.library import library
from adaptive_nerf.engine.engines import CPU


@pytest.fixture(scope="session")
def cpu():
    try:
        library()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    return CPU
