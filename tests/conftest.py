"""Places that tests need, and the skip for data that only some machines have."""

from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parent.parent
REAL_FLIGHT = CLONE.parent / "shared" / "data" / "drz" / "out" / "example"


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
