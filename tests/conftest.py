"""Places that tests need, and the skip for data that only some machines have."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

CLONE = Path(__file__).resolve().parent.parent
REAL_FLIGHT = CLONE.parent / "shared" / "data" / "drz" / "out" / "example"

# No deadlines: machines are noisy, and benches measure. In CI the same examples every time.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


@pytest.fixture(scope="session")
def clone() -> Path:
    """The root of the working tree."""
    return CLONE


@pytest.fixture(scope="session")
def real_flight() -> Path:
    """A prepared scene of 249 real drone photos, with the masks of an earlier system."""
    if not REAL_FLIGHT.is_dir():
        pytest.skip(f"the real drone flight is not at {REAL_FLIGHT}")
    return REAL_FLIGHT
