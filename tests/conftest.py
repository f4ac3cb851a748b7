"""Places that tests need, and the skip for data that only some machines have."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import sync_playwright

from tests.support.browser import ARGUMENTS, Tab, chromium_path

CLONE = Path(__file__).resolve().parent.parent
if not Path("/proc/driver/nvidia").exists():
    # Triton asks for it when it is first imported, and that may be by some other library: see support/gpu_kernels.py.
    os.environ.setdefault("TRITON_INTERPRET", "1")
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


@pytest.fixture(scope="session")
def driver():
    """Of browsers; it can be started but once in a process."""
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="session")
def browser(driver):
    """One Chromium for all tests."""
    found = driver.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
    yield found
    found.close()


@pytest.fixture
def open_tab(browser):
    """Opens an address in a tab with cookies of its own. At the end: no page error, no request to another machine."""
    tabs = []

    def make(url, **size):
        tab = Tab.of(browser, **size)
        tabs.append(tab)
        tab.page.goto(url)
        return tab

    yield make
    for tab in tabs:
        tab.close()
    assert [error for tab in tabs for error in tab.errors] == []
    assert [url for tab in tabs for url in tab.outside] == []
