"""One Chromium for all tests, tabs that are watched: a page must not fail, and nothing may leave this machine."""

import pytest
from playwright.sync_api import sync_playwright

from tests.support.browser import ARGUMENTS, Tab, chromium_path


@pytest.fixture(scope="session")
def browser():
    path = chromium_path()
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
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
