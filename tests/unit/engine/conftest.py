"""The cpu engine, built once for all workers of a test run; skipped where there is no compiler, except in CI."""

import os

import pytest
import torch

from adaptive_nerf.engine.cpu.build import Unavailable
from adaptive_nerf.engine.cpu.library import library
from adaptive_nerf.engine.engines import CPU
from adaptive_nerf.engine.threads import set_threads
from adaptive_nerf.engine.threads import threads as engine_threads


@pytest.fixture(scope="session")
def cpu():
    try:
        library()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    return CPU


@pytest.fixture
def threads():
    """Sets how many the kernels use; torch's own operations, whose sums depend on it, use one."""
    before, of_torch = engine_threads(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield set_threads
    set_threads(before)
    torch.set_num_threads(of_torch)
